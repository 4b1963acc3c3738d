"""Entropic regularisation: the Kullback-Leibler divergence to the product of the marginals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.precision import least_exponent, normal_exp
from otgen.ot.regularisers.base import SmoothRegulariser

# The reach of a move that is shortened once, in units of eps, and the factor by which it falls each time after.
_REACH, _SHORTER = 64.0, 8.0
# Weights are similar if their logarithms differ by less.
_SIMILAR = 16.0


@dataclass(frozen=True, kw_only=True)
class KL(SmoothRegulariser):
    """``eps * KL(pi || a x b)``.

    ``penalty(m) = m log m - m + 1``, ``conjugate(s) = eps (exp(s/eps) - 1)``, ``density(s) = exp(s/eps)``.
    """

    conjugate_vanishes: ClassVar[bool] = True

    @override
    def soft_transform(self, z: Tensor, w: Tensor, dim: int) -> Tensor:
        # f_i = -eps log sum_j b_j exp((g_j - c_ij) / eps)
        empty = w == 0
        some_empty = bool(empty.any())
        one_vector = w.ndim >= 2 and w.shape[-3 - dim] == 1 and w.shape[dim] == z.shape[dim]
        if torch.is_grad_enabled() or not one_vector:
            # The logarithm of a zero weight is -inf, computed so that it carries no gradient.
            log_w = w.masked_fill(empty, 1.0).log().masked_fill(empty, -torch.inf) if some_empty else w.log()
            # Relative to the largest, so that no digits are lost, and nothing overflows, in the division by eps.
            live = z.detach().masked_fill(empty, -torch.inf) if some_empty else z.detach()
            top = live.amax(dim, keepdim=True)
            exponent = (z - top) / self.weight + log_w
            # The largest exponent of a sum is at least the logarithm of the lightest weight.
            largest = log_w.detach().amin()
            if not largest > log_w.detach().amax() - _SIMILAR:
                largest = exponent.detach().amax(dim, keepdim=True)
            exponent = torch.maximum(exponent, largest + least_exponent(z.dtype))
            return -self.weight * torch.logsumexp(exponent, dim=dim) - top.squeeze(dim)
        # Without a graph, in place, the weighted sum as a matrix-vector product: half the passes over memory.
        live = z.masked_fill(empty, -torch.inf) if some_empty else z
        top = live.amax(dim, keepdim=True)
        exponent = (live - top).div_(self.weight)
        # If all exponents are near zero, the sum is near one, and its logarithm would lose the dtype's digits. As the
        # weights sum to one, log sum w e^t = log1p sum w expm1(t).
        broad = bool((exponent.masked_fill(empty, 0.0) if some_empty else exponent).min() > -1)
        exponent = exponent.expm1_() if broad else exponent.clamp_(min=least_exponent(z.dtype)).exp_()
        sums = exponent @ w.mT if dim == -1 else w.mT @ exponent
        return (sums.log1p_() if broad else sums.log_()).mul_(-self.weight).sub_(top).squeeze(dim)

    @override
    def shortened(self, move: Tensor, times: Tensor) -> Tensor:
        # Mass is exponential in a potential: where a linear model asks for a change of t, log(1 + t) has its effect.
        # Changes below the reach are as the model says.
        reach = self.weight * _REACH * _SHORTER ** (1 - times).to(move.dtype)
        return torch.where(times == 0, move, move.sign() * reach * (move.abs() / reach).log1p())

    @override
    def conjugate(self, s: Tensor) -> Tensor:
        return self.weight * torch.expm1(s / self.weight)

    @override
    def density(self, s: Tensor) -> Tensor:
        return normal_exp(s / self.weight)

    @override
    def curvature(self, s: Tensor) -> Tensor:
        return normal_exp(s / self.weight) / self.weight

    @override
    def penalty(self, m: Tensor) -> Tensor:
        return torch.xlogy(m, m) - m + 1
