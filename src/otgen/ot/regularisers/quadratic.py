"""Quadratic (L2) regularisation: sparse plans."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.regularisers.base import SmoothRegulariser

# Entries whose rows are solved together: a core's cache holds a few times as many.
_CACHED_ENTRIES = 1 << 16
# A first guess uses every `_STRIDE`-th entry.
_STRIDE = 16


@dataclass(frozen=True, kw_only=True)
class Quadratic(SmoothRegulariser):
    """``eps / 2 * sum_ij pi_ij^2 / (a_i b_j)``.

    ``penalty(m) = m^2 / 2``, ``conjugate(s) = relu(s)^2 / (2 eps)``, ``density(s) = relu(s) / eps``.
    The regularisation term is never below ``eps / 2``, whatever the plan.
    """

    @override
    def soft_transform(self, z: Tensor, w: Tensor, dim: int) -> Tensor:
        # The root f of sum_j w_j relu(f + z_j) = eps, a convex function of f.
        z, w = z.transpose(dim, -1), w.transpose(dim, -1)
        if not torch.is_grad_enabled():
            return _root(z, w, self.weight)
        # Given the active entries, f = (eps - sum_active w z) / sum_active w, which is differentiable.
        with torch.no_grad():
            f = _root(z, w, self.weight).unsqueeze(-1)
            # Entries within the roundoff of zero count: one of them may carry all the mass.
            roundoff = 4 * torch.finfo(z.dtype).eps * (z.abs() + f.abs())
            active = (z + f > -roundoff) & (w > 0)
        w, z = torch.where(active, w, 0.0), torch.where(active, z, -f)
        # Relative to the root, so that nothing cancels.
        move = (self.weight - (w * (z + f)).sum(-1)) / w.sum(-1)
        # The derivatives are those of `move`; its value is the roundoff of the root, multiplied where weights are tiny.
        return move - move.detach() + f.squeeze(-1)

    @override
    def soft_transform_near(self, z: Tensor, w: Tensor, guess: Tensor) -> Tensor:
        return self.soft_transform(z, w, -1) if torch.is_grad_enabled() else _root(z, w, self.weight, guess)

    @override
    def conjugate(self, s: Tensor) -> Tensor:
        # In place if there is no graph: fewer passes over memory.
        positive = s.clamp(min=0)
        return (positive.square() if torch.is_grad_enabled() else positive.square_()).div_(2 * self.weight)

    @override
    def density(self, s: Tensor) -> Tensor:
        return s.clamp(min=0).div_(self.weight)

    @override
    def curvature(self, s: Tensor) -> Tensor:
        return (s > 0).to(s.dtype).div_(self.weight)

    @override
    def penalty(self, m: Tensor) -> Tensor:
        return m.square().div_(2)


def _root(z: Tensor, w: Tensor, eps: float, guess: Tensor | None = None) -> Tensor:
    """The root f of ``sum_j w_j relu(f + z_j) = eps`` for every row of z; zero weights are skipped."""
    rows = max(1, _CACHED_ENTRIES * z.shape[-2] // z.numel())
    if z.device.type != "cpu" or rows >= z.shape[-2]:
        return _root_of_rows(z, w, eps, guess)
    shared = w.ndim < 2 or w.shape[-2] == 1
    roots = []
    for start in range(0, z.shape[-2], rows):
        p = slice(start, start + rows)
        near = None if guess is None else guess[..., p]
        roots.append(_root_of_rows(z[..., p, :], w if shared else w[..., p, :], eps, near))
    return torch.cat(roots, -1)


def _root_of_rows(z: Tensor, w: Tensor, eps: float, guess: Tensor | None) -> Tensor:
    positive = w > 0
    if bool(positive.all()):
        top = z.amax(-1, keepdim=True)
        z = (z - top).contiguous()
    else:
        # An entry of zero weight is replaced by the smallest entry of positive weight, which changes no sum.
        top = z.masked_fill(~positive, -torch.inf).amax(-1, keepdim=True)
        bottom = z.masked_fill(~positive, torch.inf).amin(-1, keepdim=True)
        # Not that of a forbidden pair: zero times infinity is no number.
        bottom = torch.where(bottom > -torch.inf, bottom, top)
        z = (torch.where(positive, z, bottom) - top).contiguous()
    start = _start(z, w, eps) if guess is None else guess.unsqueeze(-1) + top
    # It is no number if all entries that it uses are of forbidden pairs.
    start = torch.where(start < torch.inf, start, eps)
    # This start lies below the root, with at least one active entry; it replaces smaller guesses.
    start = start.clamp(min=eps * (1 - 1e-9))
    root, missed = _newton(z, w, eps, start)
    roundoff = (16 + z.shape[-1]) * torch.finfo(z.dtype).eps * eps
    if not float(missed.max()) <= roundoff:
        # An iterate far above the root lost its digits, and fell below it.
        root = torch.where(missed <= roundoff, root, _sorted_root(z, w, eps))
    return (root - top).squeeze(-1)


def _start(z: Tensor, w: Tensor, eps: float) -> Tensor:
    """A first guess of the root: the root for every `_STRIDE`-th entry alone."""
    if z.shape[-1] < 2 * _STRIDE:
        return torch.full_like(z[..., :1], eps)
    some, weights = z[..., ::_STRIDE].contiguous(), w[..., ::_STRIDE]
    share = _total(weights, z) / _total(w, z)
    return torch.where(share > 0, _newton(some, weights, eps * share, _start(some, weights, eps))[0], eps)


def _newton(z: Tensor, w: Tensor, eps: float | Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """The root, and what the last iterate missed it by in excess of the roundoff of its sums."""
    # Newton's method on a convex, piecewise linear function. From the first step on the iterates decrease to the root,
    # the active entries of a step are among those of the step before, and it ends when they no longer change.
    below = (eps - _sums(z, w)) / _total(w, z)
    scratch, before = torch.empty_like(z), torch.full_like(f, -1.0)
    for _ in range(z.shape[-1] + 2):
        torch.add(z, f, out=scratch)
        excess = _sums(scratch.clamp_(min=0), w) - eps
        # The scratch is not negative: its sign is one for active entries and zero for the others.
        mass = _sums(scratch.sign_(), w)
        moved = torch.where(mass > 0, f - excess / mass, below)
        # At first `below` is the root if all entries were active: an upper bound on the root, as every later iterate
        # is.
        f = torch.minimum(below, moved)
        if torch.equal(mass, before):
            break
        below, before = f, mass
    return f, excess.abs_().sub_(f * mass, alpha=(16 + z.shape[-1]) * torch.finfo(z.dtype).eps)


def _sorted_root(z: Tensor, w: Tensor, eps: float) -> Tensor:
    """The root from sums over the k largest entries, all of one sign, so that nothing cancels."""
    z, order = z.sort(dim=-1, descending=True)
    w = w.expand_as(z).gather(-1, order)
    roots = (eps - (w * z).cumsum(-1)) / w.cumsum(-1)
    # The root for the k largest is that of all if the next entry is not active there.
    following = torch.cat([z[..., 1:], torch.full_like(z[..., :1], -torch.inf)], -1)
    last = (roots + following <= 0).to(torch.int8).argmax(-1, keepdim=True)
    return roots.gather(-1, last)


def _total(w: Tensor, z: Tensor) -> Tensor:
    return w.sum(-1, keepdim=True).expand_as(z[..., :1])


def _sums(values: Tensor, w: Tensor) -> Tensor:
    if w.ndim < 2 or w.shape[-2] == 1:
        return values @ (w.unsqueeze(-1) if w.ndim < 2 else w.mT)
    return (values * w).sum(-1, keepdim=True)
