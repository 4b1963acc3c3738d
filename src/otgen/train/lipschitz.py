"""How steep a network is: the Lipschitz constants that convergence theorems ask for, estimated while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Alternations between the steepest input and the steepest output direction: the largest singular value is near.
_ITERATIONS = 3
# Length of the chords that stand for derivatives, relative to the points' size.
_STEP = 1e-2


def steepness(network: nn.Module, points: Tensor, rng: torch.Generator) -> float:
    """The largest slope found around points: a lower bound on the Lipschitz constant, in Euclidean norms.

    At every point the largest singular value of the Jacobian is approached by power iteration, with one product from
    the left by autograd and one from the right by a short chord. The slope of a chord never exceeds the constant.

    Args:
        network: in evaluation mode while it is looked at: ``(n, *shape)`` to ``(n, ...)``.
        points: ``(n, *shape)``.
        rng: for the first directions.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        points = points.detach()
        with torch.enable_grad():
            moving = points.clone().requires_grad_()
            here = network(moving).flatten(1)
        outward = torch.randn(here.shape, generator=rng, dtype=here.dtype).to(here.device)
        length = _STEP * float(points.square().mean().sqrt()) or _STEP
        best = torch.zeros(len(points), dtype=here.dtype, device=here.device)
        for _ in range(_ITERATIONS):
            (inward,) = torch.autograd.grad(here, moving, outward, retain_graph=True)
            norms = inward.flatten(1).norm(dim=1)
            # Where the network is flat, any direction will do.
            direction = inward / norms.clamp(min=1e-30).view(-1, *[1] * (inward.ndim - 1))
            with torch.no_grad():
                # What was really moved by, after rounding.
                there = points + length * direction
                moved = (there - points).flatten(1).norm(dim=1)
                outward = network(there).flatten(1) - here.detach()
                slopes = torch.where(moved > 0, outward.norm(dim=1) / moved, 0.0)
            best = torch.maximum(best, slopes)
        return float(best.max())
    finally:
        for module, training in modes:
            module.training = training
