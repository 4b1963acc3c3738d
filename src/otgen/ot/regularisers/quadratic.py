"""Quadratic (L2) regularisation: sparse plans."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.regularisers.base import SmoothRegulariser


@dataclass(frozen=True, kw_only=True)
class Quadratic(SmoothRegulariser):
    """``eps / 2 * sum_ij pi_ij^2 / (a_i b_j)``.

    ``penalty(m) = m^2 / 2``, ``conjugate(s) = relu(s)^2 / (2 eps)``, ``density(s) = relu(s) / eps``.
    The regularisation term is never below ``eps / 2``, whatever the plan.
    """

    @override
    def soft_transform(self, z: Tensor, w: Tensor, dim: int) -> Tensor:
        # The root f of sum_j w_j relu(f + z_j) = eps. With z sorted downwards and k entries active,
        # f_k = (eps - sum_{j<=k} w_j z_j) / sum_{j<=k} w_j; the right k is the last with f_k + z_k > 0.
        z, w = z.transpose(dim, -1), w.expand_as(z).transpose(dim, -1)
        positive = w > 0
        # Relative to the largest weighted entry, so that the sums below do not cancel.
        top = z.detach().masked_fill(~positive, -torch.inf).amax(-1, keepdim=True)
        bottom = z.detach().masked_fill(~positive, torch.inf).amin(-1, keepdim=True)
        z = torch.where(positive, z - top, bottom - top - 1.0)
        ordered, order = z.sort(dim=-1, descending=True)
        weights = w.gather(-1, order)
        mass = weights.cumsum(-1)
        roots = (self.weight - (weights * ordered).cumsum(-1)) / mass.clamp(min=torch.finfo(z.dtype).tiny)
        active = (roots + ordered > 0) & (mass > 0)
        # Active entries form a run that starts at the first positive weight: the last one is the largest index.
        index = torch.arange(z.shape[-1], device=z.device)
        last = torch.where(active, index, torch.zeros_like(index)).amax(-1, keepdim=True)
        return (roots.gather(-1, last) - top).squeeze(-1)

    @override
    def conjugate(self, s: Tensor) -> Tensor:
        return s.clamp(min=0).square() / (2 * self.weight)

    @override
    def density(self, s: Tensor) -> Tensor:
        return s.clamp(min=0) / self.weight

    @override
    def curvature(self, s: Tensor) -> Tensor:
        return (s > 0).to(s.dtype) / self.weight

    @override
    def penalty(self, m: Tensor) -> Tensor:
        return m.square() / 2
