"""Lipschitz constants of networks, which convergence theorems assume to be bounded, estimated during training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Power iterations; a few of them come close to the largest singular value.
_ITERATIONS = 3
# Length of the finite differences, relative to the root mean square of the points' coordinates.
_STEP = 1e-2


def steepness(network: nn.Module, points: Tensor, rng: torch.Generator) -> float:
    """The largest slope found around points: a lower bound on the Lipschitz constant, in Euclidean norms.

    Power iteration approximates the largest singular value of the Jacobian at every point. Its product from the left
    uses autograd, its product from the right a finite difference, whose slope never exceeds the constant.

    Args:
        network: maps ``(n, *shape)`` to ``(n, ...)``; it is put in evaluation mode meanwhile.
        points: ``(n, *shape)``.
        rng: stream of the initial directions.
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
            # At a point where the network is flat, any direction will do.
            direction = inward / norms.clamp(min=1e-30).view(-1, *[1] * (inward.ndim - 1))
            with torch.no_grad():
                # The actual displacement, after rounding.
                there = points + length * direction
                moved = (there - points).flatten(1).norm(dim=1)
                outward = network(there).flatten(1) - here.detach()
                slopes = torch.where(moved > 0, outward.norm(dim=1) / moved, 0.0)
            best = torch.maximum(best, slopes)
        return float(best.max())
    finally:
        for module, training in modes:
            module.training = training
