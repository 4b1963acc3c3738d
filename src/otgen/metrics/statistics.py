"""Statistics of features: the Gaussian with the same mean and covariance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.threads import cached_property

_ROWS = 8192  # number of rows converted to float64 at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian:
    """The Gaussian fitted to a sample.

    Attributes:
        mean: shape ``(k,)``, float64.
        covariance: shape ``(k, k)``, float64, symmetric; of rank ``n - 1`` at most.
        n: the size of the sample.
    """

    mean: Tensor
    covariance: Tensor
    n: int

    @cached_property
    def roots(self) -> tuple[Tensor, Tensor]:
        """The symmetric square root of the covariance, singular or not, and its pseudo-inverse; kept once read."""
        values, vectors = torch.linalg.eigh(self.covariance)
        # An eigenvalue below the roundoff of the largest one is a zero perturbed by roundoff, of either sign. Its root
        # would be 1e8 times too large.
        floor = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
        root = torch.where(values > floor, values, 0.0).sqrt()
        inverse = torch.where(values > floor, root.reciprocal(), 0.0)
        return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices of ``size`` rows that cover ``n`` rows; the last block may be shorter."""
    for start in range(0, n, size):
        yield slice(start, start + size)


def canonical_order(values: Tensor) -> Tensor:
    """An order of the rows that depends on the rows only, not on their original order.

    Sums over rows in this order are the same to the last bit for every permutation of the rows. The order
    itself (by the rows' bytes) means nothing.

    Args:
        values: shape ``(n, k)``.

    Returns:
        Shape ``(n,)``, int64, a permutation on the CPU.
    """
    rows = values.detach().cpu()
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float()
    array = np.ascontiguousarray((rows + 0.0).numpy())  # + 0.0 turns -0.0 into 0.0: equal rows, equal bytes
    as_bytes = array.view(np.dtype((np.void, array.itemsize * array.shape[1]))).ravel()
    return torch.from_numpy(np.argsort(as_bytes))


def shuffled_order(values: Tensor) -> Tensor:
    """A shuffle of the rows that depends on the rows only, not on their original order.

    The first h rows in this order are a representative subset. In the original order of a data set neither the first h
    rows nor every second row need be one: some sets are sorted by class, and MNIST alternates between two groups of
    writers.

    Args:
        values: shape ``(n, k)``.

    Returns:
        Shape ``(n,)``, int64, a permutation on the CPU; it is the same at every call and draws from no global stream.
    """
    rng = torch.Generator().manual_seed(0)
    return canonical_order(values)[torch.randperm(len(values), generator=rng)]


def fit_gaussian(values: Tensor) -> Gaussian:
    r"""The mean and the covariance of a sample.

    .. math:: \mu = \frac1n \sum_i x_i, \qquad \Sigma = \frac1{n-1} \sum_i (x_i - \mu)(x_i - \mu)^\top

    Two passes in float64 over blocks of rows, so that the memory beyond the result is bounded and a mean far from zero
    costs no digits. The result is the same to the last bit for every order of the rows.

    Args:
        values: shape ``(n, k)`` with ``n >= 2``, finite, any floating dtype, any device.
    """
    if values.dim() != 2 or len(values) < 2:
        raise InputError(
            f"a covariance needs at least 2 samples, as rows of an (n, k) tensor; "
            f"got shape {tuple(values.shape)}; generate or load more"
        )
    order = canonical_order(values)
    values = values.detach().cpu()
    n, k = values.shape
    mean = torch.zeros(k, dtype=torch.float64)
    for rows in blocks(n, _ROWS):
        mean += values[order[rows]].double().sum(0)
    mean /= n
    covariance = torch.zeros(k, k, dtype=torch.float64)
    for rows in blocks(n, _ROWS):
        centred = values[order[rows]].double() - mean
        covariance += centred.T @ centred
    covariance /= n - 1
    if not covariance.isfinite().all():
        raise InputError(
            f"the covariance overflows float64: the values reach {values.abs().max().item():.3g}; scale them down"
        )
    return Gaussian(mean=mean, covariance=(covariance + covariance.T) / 2, n=n)
