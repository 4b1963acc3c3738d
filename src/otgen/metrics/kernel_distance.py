"""The kernel distance between two sets of features, known as KID where the features are Inception's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.metrics.base import EvaluationInput, Metric, check_pair, with_baseline
from otgen.metrics.features import Features
from otgen.metrics.intervals import interval


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    r"""The kernel :math:`(\langle x, y \rangle / k + 1)^3` of Binkowski et al. (2018).

    Args:
        x: shape ``(n, k)``.
        y: shape ``(m, k)``.

    Returns:
        Shape ``(n, m)``, float64.
    """
    inner = torch.addmm(torch.ones((), dtype=torch.float64), x.double() / x.shape[1], y.double().T)
    return inner.square().mul_(inner)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kernels:
    """The kernel within and between two sets of ``n`` and ``m`` samples."""

    xx: Tensor
    xy: Tensor
    yy: Tensor

    def on_subsets(self, of_x: Tensor, of_y: Tensor) -> Tensor:
        """The unbiased squared distance between subsets, a number each; see `kernel_distance`."""
        size = of_x.shape[1]
        x, y = (
            torch.zeros(len(index), n, dtype=torch.float64).scatter_(1, index, 1.0)
            for index, n in ((of_x, len(self.xx)), (of_y, len(self.yy)))
        )
        # A sum over a subset's pairs is a quadratic form in its indicator: one product for all subsets.
        within = sum(((z @ kernel) * z).sum(1) - z @ kernel.diagonal() for z, kernel in ((x, self.xx), (y, self.yy)))
        return within / (size * (size - 1)) - 2 * ((x @ self.xy) * y).sum(1) / size**2

    def contributions(self) -> tuple[Tensor, Tensor]:
        """What each sample of the two sets contributes to the unbiased squared distance, to first order."""
        parts = []
        for within, across in ((self.xx, self.xy), (self.yy, self.xy.T)):
            own = (within.sum(1) - within.diagonal()) / (len(within) - 1)
            parts.append(2 * (own - across.mean(1)))
        return parts[0], parts[1]


def kernel_distance(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> Tensor:
    r"""The unbiased estimate of the squared maximum mean discrepancy, for each of several pairs of subsets.

    .. math:: \frac{1}{s(s-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{s(s-1)} \sum_{i \ne j} k(y_i, y_j)
        - \frac{2}{s^2} \sum_{i, j} k(x_i, y_j)

    Args:
        x: shape ``(n, k)``.
        y: shape ``(m, k)``.
        of_x: the rows of each subset of x, int64, shape ``(subsets, s)`` with ``s >= 2``, without repetition.
        of_y: the same for y.

    Returns:
        Shape ``(subsets,)``, float64; negative values are possible, since the estimate is unbiased.
    """
    return _kernels(x, y).on_subsets(of_x, of_y)


def _kernels(x: Tensor, y: Tensor) -> _Kernels:
    x, y = x.detach().cpu(), y.detach().cpu()
    return _Kernels(xx=polynomial_kernel(x, x), xy=polynomial_kernel(x, y), yy=polynomial_kernel(y, y))


def _subsets(n: int, size: int, count: int, rng: torch.Generator) -> Tensor:
    """Rows of subsets that are drawn without replacement, shape ``(count, size)``."""
    return torch.stack([torch.randperm(n, generator=rng)[:size] for _ in range(count)])


@dataclass(frozen=True, kw_only=True)
class KernelDistance(Metric):
    """The squared maximum mean discrepancy with a polynomial kernel, known as KID on Inception's features.

    It is the mean of the unbiased estimates on random subsets, as in the field's protocol (Binkowski et al. 2018).
    Unbiased means that sets of different sizes compare, and that two samples of one law give values around 0 on either
    side. The kernel has degree 3, so that it sees the first three moments of the features, skewness included, where the
    Fréchet distance sees two.

    Keys: ``kid``, with the interval ``kid_low`` and ``kid_high``; ``kid_std``: the standard deviation over the subsets,
    the customary error, which shrinks with the subsets' overlap and not only with the data. Range: about 0 and up, 0
    the best.

    Attributes:
        subsets: number of subsets.
        subset_size: samples in a subset; fewer if a set has fewer.
        max_points: at most this many samples of each set are used, picked by a shuffle that is always the same for the
            same set.
        seed: seed of the subsets.
    """

    subsets: int = 100
    subset_size: int = 1000
    max_points: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2 or self.max_points < 2:
            raise InputError(
                f"subsets must be at least 1, their size and max_points at least 2; got {self.subsets}, "
                f"{self.subset_size} and {self.max_points}; customary are 100 subsets of 1000"
            )

    @classmethod
    @override
    def evaluate(cls, given: EvaluationInput) -> dict[str, float]:
        """Measure, if there is an extractor for the data."""
        most = 2000
        return {} if given.features is None else with_baseline(cls(max_points=most), given.features, most=most)

    @override
    def __call__(self, fake: Features, real: Features) -> dict[str, float]:
        """Measure; needs 2 samples of each."""
        check_pair(fake, real, least=2)
        x, y = (features.first(self.max_points).values for features in (fake, real))
        kernels, size = _kernels(x, y), min(self.subset_size, len(x), len(y))
        rng = torch.Generator().manual_seed(self.seed)
        found = kernels.on_subsets(*(_subsets(len(rows), size, self.subsets, rng) for rows in (x, y)))
        distance = interval(found.mean().item(), *kernels.contributions())
        return {**distance.under("kid"), "kid_std": found.std(correction=0).item()}
