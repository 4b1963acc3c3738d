"""Random changes of the images that a critic sees, the same for data and samples."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, Shape
from otgen.nets.dcgan import DcganCritic


@dataclass(frozen=True, kw_only=True)
class Augmented(CriticNet):
    """A critic of images that are flipped, moved, partly covered and recoloured at random before it sees them.

    A critic that trains for long on few images learns them by heart, and then tells the generator nothing. Here it
    never sees an image twice in the same way. Data and generated samples are changed alike and the changes are
    differentiable, so that the generator learns the data as they are (Zhao et al. 2020). Flips are the exception: a
    generator may make an image or its mirror image, whichever it likes.

    Images are changed in training mode only. The random numbers depend on a seed and on the number of calls, both
    buffers of the module, so that a resumed run continues with the same ones.

    Attributes:
        net: the critic.
        flip: mirror every second image, left to right.
        shift: largest move in each direction, as a share of the side; the image's edge is repeated where it moves in.
        cutout: side of the square that is covered with the image's mean, as a share of the image's; 0 for none.
        colour: strength of the changes of brightness, saturation and contrast, from 0 to 1. Channels are mixed, so
            leave it at 0 where some of them are no colours but labels.
    """

    net: CriticNet = DcganCritic()
    flip: bool = True
    shift: float = 0.125
    cutout: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        shares = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("net", "flip")}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError(f"{name} is a share from 0 to 1, got {share}")

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        if len(shape) != 3:
            raise InputError(
                f"Augmented is for images (channels, height, width), got samples of shape {shape}; use the net itself"
            )
        return _AugmentedModule(self.net.build(shape, features), self)


class _AugmentedModule(nn.Module):
    """Changes images ``(n, c, h, w)`` in training mode, then applies a module."""

    # The seed and the number of calls so far.
    stream: Tensor

    def __init__(self, module: nn.Module, how: Augmented) -> None:
        super().__init__()
        self.module, self.how = module, how
        # Drawn where initial weights are drawn, see :func:`otgen.nets.seeded`.
        seed = int(2**53 * nn.init.uniform_(torch.empty((), dtype=torch.float64)))
        self.register_buffer("stream", torch.tensor([seed, 0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.module(self._changed(x) if self.training else x)  # type: ignore[no-any-return]

    def _changed(self, x: Tensor) -> Tensor:
        seed, calls = self.stream.tolist()
        self.stream[1] += 1
        rng = torch.Generator().manual_seed(seed + calls)
        if self.how.colour:
            x = _recoloured(x, self.how.colour, rng)
        x = _moved(x, self.how.flip, self.how.shift, rng)
        return _covered(x, self.how.cutout, rng) if self.how.cutout else x


def _recoloured(x: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Images of another saturation, contrast and brightness, each."""
    u = (2 * torch.rand(3, len(x), 1, 1, 1, generator=rng) - 1).to(x) * strength
    grey = x.mean(1, keepdim=True)
    x = grey + (1 + u[0]) * (x - grey)
    level = x.mean((1, 2, 3), keepdim=True)
    return level + (1 + u[1]) * (x - level) + u[2] / 2


def _moved(x: Tensor, flip: bool, shift: float, rng: torch.Generator) -> Tensor:
    """Images moved, and some of them mirrored.

    Each row and each column of the result is one of the image: a product with matrices of zeros and ones from either
    side, which is exact, and whose gradient costs as little.
    """
    n, _, height, width = x.shape
    rows, columns = (torch.arange(side).expand(n, side) for side in (height, width))
    if flip:
        mirrored = torch.rand(n, 1, generator=rng) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    down, right = (_uniform(n, round(shift * side), rng) for side in (height, width))
    return _selection(rows + down, height).to(x) @ x @ _selection(columns + right, width).to(x).mT


def _uniform(n: int, most: int, rng: torch.Generator) -> Tensor:
    """Whole numbers from ``-most`` to ``most``, ``(n, 1)``."""
    return torch.randint(-most, most + 1, (n, 1), generator=rng)


def _selection(index: Tensor, size: int) -> Tensor:
    """For each row of indices ``(n, k)`` the matrix that selects them, ``(n, 1, k, size)``; beyond an end the end."""
    return (index.clamp(0, size - 1)[:, None, :, None] == torch.arange(size)).float()


def _covered(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Images with a square of their mean colour in each, whose centre is anywhere in the image."""
    n, _, height, width = x.shape
    inside = []
    for side in (height, width):
        size = round(share * side)
        first = torch.randint(side, (n, 1), generator=rng) - size // 2
        place = torch.arange(side)
        inside.append((place >= first) & (place < first + size))
    covered = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(x.device)
    return torch.where(covered, x.mean((2, 3), keepdim=True), x)
