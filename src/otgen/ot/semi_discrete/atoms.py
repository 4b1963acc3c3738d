"""Weighted atoms, and how a batch of points is assigned to them: one matrix product, one streamed softmax."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from otgen.ot.core.precision import least_exponent
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean

# Entries of a block of atoms that stays in the cache through the passes of a softmax.
_CACHED = 1 << 19
# Entries at once: (points x atoms) when many points are streamed, and (points x atoms x coordinates) for other costs.
_STREAMED = 1 << 23
_PAIRS = 1 << 22
# Atoms per matrix product: few enough to leave the cache to the points.
_PRODUCT = 1024


class Atoms:
    """Weighted atoms under a cost: built once per problem, and shared by all problems derived from it.

    For the squared Euclidean cost ``c(x, y_j) = |x|^2 + |y_j|^2 - 2 <x, y_j>`` with x and the atoms centred at the
    atoms' mean. The centred atoms and their norms are computed once. A coordinate in which all atoms agree (the border
    of MNIST's images) is left out of the product.

    Attributes:
        y: ``(m, d)``, as given.
        b: ``(m,)``, summing to 1.
        cost: the ground cost.
        log_b: ``log b``, minus infinity at atoms without weight.
        inverse: ``1 / b``, 0 at atoms without weight.
        mean: ``sum_j b_j y_j``, ``(d,)``.
    """

    def __init__(self, y: Tensor, b: Tensor, cost: Cost) -> None:
        self.y, self.b, self.cost = y, b, cost
        self.log_b = b.log()
        self.inverse = torch.where(b > 0, 1 / b, 0.0)
        self.mean = b @ y
        self.expanded = type(cost) is SqEuclidean
        if self.expanded:
            self._varying = (y != y[:1]).any(0).nonzero().squeeze(1)
            self._centred = y[:, self._varying].sub_(self.mean[self._varying])
            self._norms = torch.linalg.vector_norm(self._centred, dim=1).square_()

    @property
    def count(self) -> int:
        """The number of atoms, m."""
        return len(self.b)

    def buffer(self, like: Tensor, n: int) -> Tensor:
        """Memory for the scores of n points, ``(n, m)``, with the scores of each atom contiguous."""
        return like.new_empty(self.count, n).T

    def scores(self, x: Tensor, bias: Tensor, eps: float, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``bias_j - (c(x_i, y_j) - r_i) / eps``, and the part ``r_i`` of the cost that all atoms have in common.

        Args:
            x: ``(n, d)``.
            bias: ``(m,)``; minus infinity excludes an atom.
            eps: what the costs are divided by.
            out: ``(n, m)``, written to; see :meth:`buffer`.

        Returns:
            Scores ``(n, m)`` and common parts r ``(n,)``.
        """
        if out is None:
            out = self.buffer(x, len(x))
        if self.expanded:
            x = x - self.mean
            shares, x = x.square().sum(1), x[:, self._varying].T.contiguous()
            bias = (bias - self._norms / eps).unsqueeze(1)
            # In blocks, with the atoms as the left factor, the product takes two thirds of the time.
            size = _PRODUCT if x.device.type == "cpu" else self.count
            for start in range(0, self.count, size):
                part = slice(start, start + size)
                torch.addmm(bias[part], self._centred[part], x, alpha=2 / eps, out=out.T[part])
            return out, shares
        size = max(1, _PAIRS // max(1, x.numel()))
        for start in range(0, self.count, size):
            part = slice(start, start + size)
            torch.sub(bias[part], self.cost(x, self.y[part]), alpha=1 / eps, out=out[:, part])
        return out, x.new_zeros(len(x))

    def mean_cost(self, x: Tensor) -> float:
        """``mean_i sum_j b_j c(x_i, y_j)``."""
        if self.expanded:
            # The mixed term vanishes, as the atoms are centred at their mean.
            return float((x - self.mean).square().sum(1).double().mean() + (self.b @ self._norms).double())
        zeros = torch.zeros_like(self.b)
        parts = [-(self.scores(x[part], zeros, 1.0)[0] @ self.b) for part in self.row_blocks(len(x))]
        return float(torch.cat(parts).double().mean())

    def row_blocks(self, n: int) -> Iterator[slice]:
        """Blocks of points whose scores against all atoms take some tens of megabytes."""
        size = max(1, _STREAMED // self.count)
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    def soft(self, x: Tensor, g: Tensor, eps: float, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Soft assignment of points to atoms, ``p_ij = b_j exp((f_i + g_j - c_ij) / eps)`` with row sums 1, and ``f``.

        Houdard et al. 2021, (42) with weights, and (14).

        Returns:
            ``p`` ``(n, m)`` (in ``out`` if given) and ``f`` ``(n,)``.
        """
        scores, f = self.scores(x, self.log_b + g / eps, eps, out)
        sums, log_sums = _exponentials(scores)
        for part in cached_blocks(scores):
            scores[:, part].div_(sums)
        return scores, f.sub_(log_sums, alpha=eps)

    def hard(self, x: Tensor, g: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The Laguerre cell of each point, ``argmax_j g_j - c_ij`` over weighted atoms, and ``f = min_j c_ij - g_j``.

        Returns:
            Indices ``(n,)`` and ``f`` ``(n,)``.
        """
        scores, shares = self.scores(x, g.masked_fill(self.b == 0, -torch.inf), 1.0, out)
        best, index = scores.max(1)
        return index, shares - best

    def soft_gradient(self, x: Tensor, p: Tensor) -> Tensor:
        """``sum_j p_ij grad_x c(x_i, y_j)``, ``(n, d)``, for rows of p that sum to 1."""
        if self.expanded:
            gradient = x - self.mean
            gradient[:, self._varying] -= p @ self._centred
            return gradient.mul_(2)
        gradient = torch.zeros_like(x)
        size = max(1, _PAIRS // max(1, x.numel()))
        for start in range(0, self.count, size):
            part = slice(start, start + size)
            gradient += self.cost.vjp(x, self.y[part], p[:, part])[0]
        return gradient

    def hard_gradient(self, x: Tensor, index: Tensor) -> Tensor:
        """``grad_x c(x_i, y_index_i)``, ``(n, d)``."""
        if self.expanded:
            return 2 * (x - self.y[index])
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.cost.paired(x, self.y[index]).sum(), x)
        return gradient

    def shares(self, x: Tensor, g: Tensor, eps: float, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The share of a batch that each atom gets, ``mean_i p_ij``, ``(m,)``, and ``f``; hard cells if eps is 0."""
        if eps == 0:
            index, f = self.hard(x, g, out)
            return torch.bincount(index, minlength=self.count).to(x.dtype).div_(len(x)), f
        scores, f = self.scores(x, self.log_b + g / eps, eps, out)
        sums, log_sums = _exponentials(scores)
        # Not normalised first: that would be one more pass.
        return scores.T @ (1 / (len(x) * sums.squeeze(1))), f.sub_(log_sums, alpha=eps)

    def spread(self, p: Tensor) -> float:
        """``mean_i sum_j p_ij^2 / b_j``: 1 for ``p_ij = b_j``, about m for a hard assignment."""
        total = sum(float((self.inverse[part] @ p[:, part].T.square()).sum()) for part in cached_blocks(p))
        return total / len(p)


def _exponentials(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials relative to each row's largest score, in place; row sums ``(n, 1)`` and log-sum-exp ``(n,)``."""
    top, sums = scores.amax(1, keepdim=True), scores.new_zeros(len(scores), 1)
    least = least_exponent(scores.dtype)
    for part in cached_blocks(scores):
        sums += scores[:, part].sub_(top).clamp_(min=least).exp_().sum(1, keepdim=True)
    return sums, (top + sums.log()).squeeze(1)


def cached_blocks(matrix: Tensor) -> Iterator[slice]:
    """Blocks of columns that fit in the cache."""
    size = max(1, _CACHED // len(matrix))
    for start in range(0, matrix.shape[1], size):
        yield slice(start, start + size)
