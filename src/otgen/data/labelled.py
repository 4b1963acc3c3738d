"""Laws of pairs: of a sample and its label, and of a latent vector and a label. A label's code is appended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.data.source import FiniteSource, Source
from otgen.errors import InputError, suggestion
from otgen.threads import cached_property

_MOST_CLASSES = 1000
# Numbers that the codes may add to one sample: 2 MB as float32, of which a step holds several batches.
_MOST_NUMBERS = 1 << 19
_LISTED = 20
# Points from which the typical distance between two of them is computed.
_SCALE_POINTS = 1000


@dataclass(frozen=True, kw_only=True)
class LabelCode:
    """How a label is appended to a sample: as a one-hot vector of K classes, times a length.

    It is appended to a vector ``(d,)`` as K coordinates, and to an image ``(C, H, W)`` as K constant planes whose
    values are divided by ``sqrt(H W)``. Either way the codes of two labels have the distance ``sqrt(2) length``: a
    transport plan that pairs samples of different labels pays ``2 length^2`` of squared distance for it.

    Attributes:
        names: the labels, K of them.
        shares: the share of each in the data; they sum to 1.
        length: the Euclidean norm of a code.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    length: float

    @classmethod
    def of(cls, data: Source, weight: float) -> LabelCode | None:
        """The code for a data set's labels; None if it has none that a generator shall be conditioned on.

        Its length is ``weight`` times the root of the data's total variance (the sum of the coordinates' variances). At
        weight 1 a wrong label costs as much as the mean squared distance between two data points.

        Raises:
            InputError: there is one class only, there are more than 1,000, or more than fit with such samples.
        """
        classes = data.classes() if isinstance(data, FiniteSource) else None
        if classes is None:
            return None
        assert isinstance(data, FiniteSource)
        counts = torch.bincount(classes.index, minlength=len(classes.names)).tolist()
        kept = [(name, count) for name, count in zip(classes.names, counts, strict=True) if count]
        names = tuple(name for name, _ in kept)
        shares = tuple(count / sum(counts) for _, count in kept)
        code = cls(names=names, shares=shares, length=weight * _spread(data))
        code._check(data.shape)
        return code

    def _check(self, shape: tuple[int, ...]) -> None:
        """Refuse labels that cannot condition a generator of samples of this shape."""
        count = len(self.names)
        if count < 2:
            raise InputError(
                f"labels need at least two classes, got {count} ({', '.join(map(repr, self.names))}); leave the label "
                "out (--data.label null), or give data of several classes"
            )
        if count > _MOST_CLASSES:
            raise InputError(
                f"labels of more than {_MOST_CLASSES:,} classes are not supported, got {count:,}; take a label with "
                "fewer values, or leave it out (--data.label null)"
            )
        if len(shape) not in (1, 3):
            raise InputError(
                f"labels go with vectors (d,) and images (channels, height, width), got samples of shape {shape}; "
                "leave the label out (--data.label null)"
            )
        numbers = count * math.prod(shape[1:])
        if numbers > _MOST_NUMBERS:
            raise InputError(
                f"{count:,} classes are too many for samples of shape {shape}: their codes would add {numbers:,} "
                f"numbers to each, the limit is {_MOST_NUMBERS:,}; take smaller images, or a label with fewer values"
            )

    @property
    def count(self) -> int:
        """The number of classes, K."""
        return len(self.names)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a sample of this shape with its label's code."""
        return (shape[0] + self.count, *shape[1:])

    def one_hot(self, index: Tensor) -> Tensor:
        """One-hot vectors, float32 ``(n, K)``, of labels ``(n,)``."""
        return torch.nn.functional.one_hot(index, self.count).float()

    def append(self, samples: Tensor, one_hot: Tensor) -> Tensor:
        """Samples ``(n, *shape)`` with the codes of their labels, given as one-hot vectors ``(n, K)``."""
        planes = samples.shape[2:]
        code = one_hot * (self.length / math.sqrt(math.prod(planes)))
        code = code.view(*code.shape, *(1 for _ in planes)).expand(*code.shape, *planes)
        return torch.cat((samples, code.to(samples.dtype)), 1)

    def index_of(self, name: str) -> int:
        """The place of a label.

        Raises:
            InputError: it is none of the labels.
        """
        if name not in self.names:
            listed = ", ".join(self.names[:_LISTED]) + (", ..." if self.count > _LISTED else "")
            near = suggestion(name, self.names)
            raise InputError(f"no label is called {name!r}; the {self.count} labels are: {listed}{near}")
        return self.names.index(name)

    def drawn(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` independent labels by their shares, int64 ``(n,)``."""
        return torch.multinomial(torch.tensor(self.shares), n, replacement=True, generator=rng)

    @classmethod
    def read(cls, value: Any) -> LabelCode:
        """The code that ``dataclasses.asdict`` turned into a table, as JSON gives it back.

        Raises:
            ValueError: it is no such table; the message says what is wrong.
        """
        if not isinstance(value, Mapping) or set(value) != {"names", "shares", "length"}:
            raise ValueError("it must be a table of names, shares and length")
        names, shares, length = value["names"], value["shares"], value["length"]
        if not isinstance(names, list) or not 2 <= len(names) <= _MOST_CLASSES:
            raise ValueError(f"names must be a list of 2 to {_MOST_CLASSES:,} labels")
        if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise ValueError("names must be different texts")
        if not isinstance(shares, list) or len(shares) != len(names) or not all(map(_is_positive, shares)):
            raise ValueError("shares must be a positive number for each of the names")
        if not _is_positive(length):
            raise ValueError(f"length must be a positive number, got {length!r}")
        return cls(names=tuple(names), shares=tuple(map(float, shares)), length=float(length))


@dataclass(frozen=True, kw_only=True)
class LabelledData(FiniteSource):
    """The law of a data set's samples with the codes of their labels.

    Attributes:
        source: the data set.
        code: how labels are appended.
    """

    source: FiniteSource
    code: LabelCode

    @cached_property
    def index(self) -> Tensor:
        """The labels by their place among the code's names, int64 ``(N,)``."""
        classes = self.source.classes()
        assert classes is not None
        # Names without a sample are left out of the code.
        place = torch.tensor([self.code.names.index(name) if name in self.code.names else -1 for name in classes.names])
        return place[classes.index]

    @property
    @override
    def value_range(self) -> None:
        """None: the codes lie in another interval than the samples."""
        return None

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self.code.shape(self.source.shape)

    @property
    @override
    def count(self) -> int:
        return self.source.count

    @override
    def support(self) -> Tensor:
        return self.code.append(self.source.support(), self.code.one_hot(self.index))

    @override
    def take(self, index: Tensor) -> Tensor:
        return self.code.append(self.source.take(index), self.code.one_hot(self.index[index]))


@dataclass(frozen=True, kw_only=True)
class LabelledLatent(Source):
    """The law of latent vectors, each with the one-hot vector of a label that is drawn by the data's shares.

    Attributes:
        latent: the law of the vectors.
        code: the labels.
        label: the place of the only label to draw; None for all.
    """

    latent: Source
    code: LabelCode
    label: int | None = None

    def __post_init__(self) -> None:
        if len(self.latent.shape) != 1:
            raise InputError(f"labels go with latent vectors (d,), got codes of shape {self.latent.shape}; take Normal")

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return (self.latent.shape[0] + self.code.count,)

    @override
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` vectors ``(n, d + K)``; the first d coordinates are the same whatever the label."""
        z = self.latent.sample(n, rng)
        index = self.code.drawn(n, rng) if self.label is None else torch.full((n,), self.label)
        return torch.cat((z, self.code.one_hot(index)), 1)

    def only(self, label: int) -> LabelledLatent:
        """The law of vectors of one label."""
        return replace(self, label=label)

    def labels_of(self, codes: Tensor) -> Tensor:
        """The labels, int64 ``(n,)``, of vectors ``(n, d + K)`` of this law."""
        return codes[:, self.latent.shape[0] :].argmax(1)

    def names_of(self, codes: Tensor) -> tuple[str, ...]:
        """The names of the labels of vectors ``(n, d + K)`` of this law."""
        return tuple(self.code.names[place] for place in self.labels_of(codes).tolist())


def _spread(data: FiniteSource) -> float:
    """The root of the data's total variance, from some of its points, evenly spread; 1 if they coincide."""
    index = torch.linspace(0, data.count - 1, min(data.count, _SCALE_POINTS)).round().long()
    points = data.take(index).flatten(1).double()
    return math.sqrt(float(points.var(0, correction=0).sum())) or 1.0


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
