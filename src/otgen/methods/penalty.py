"""The gradient penalty of a critic (Gulrajani et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.errors import InputError
from otgen.nets import mixes_samples


@dataclass(frozen=True, kw_only=True)
class GradientPenalty:
    """``weight * E[(|grad D(xhat)|_2 - target)^2]`` at ``xhat = share * real + (1 - share) * fake``.

    Gulrajani et al. 2017, (3). The norm is taken per sample over all dimensions, and the mean over the batch. The paper
    draws one share per sample, uniform on [0, 1]; its one-sided form does not penalise norms below the target.

    Attributes:
        weight: the factor, lambda in the paper.
        target: the gradient norm without penalty.
        one_sided: penalise only norms above the target.
    """

    weight: float = 10.0
    target: float = 1.0
    one_sided: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf or not 0 <= self.target < math.inf:
            raise InputError(
                f"a gradient penalty needs a positive, finite weight and a finite target that is not negative, got "
                f"{self.weight} and {self.target}; a critic without a penalty is WGAN's"
            )

    def check(self, critic: nn.Module) -> None:
        """Check that the critic's gradient at a sample does not depend on the rest of the batch.

        Raises:
            InputError: the critic has batch normalisation in training mode.
        """
        if mixes_samples(critic):
            raise InputError(
                "a gradient penalty is on each sample's gradient, and batch normalisation makes a critic's value at "
                "one sample depend on the others; build the critic without it, or with layer normalisation"
            )

    def __call__(self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
        """The penalty, a scalar, to be differentiated with respect to the critic's weights.

        No gradient flows back into ``real``, ``fake`` and ``share``. Under ``no_grad`` the penalty has no graph.

        Args:
            critic: a potential that maps samples ``(n, *shape)`` to ``(n, 1)`` or ``(n,)``.
            real: real samples, ``(n, *shape)``.
            fake: generated samples, of the same shape.
            share: the share of the real sample in each interpolate, ``(n,)``.

        Raises:
            InputError: the shapes do not fit, there are no samples, or the critic gives several numbers per sample,
                ignores its input or mixes samples.
        """
        if isinstance(critic, nn.Module):
            self.check(critic)
        if real.shape != fake.shape or share.shape != real.shape[:1] or not len(real):
            raise InputError(
                "interpolates need as many real samples as fake ones, of one shape, and a share for each, got "
                f"{tuple(real.shape)}, {tuple(fake.shape)} and {tuple(share.shape)}"
            )
        shares = share.to(real.dtype).reshape(-1, *[1] * (real.ndim - 1))
        points = (shares * real + (1 - shares) * fake).detach()
        norms = torch.linalg.vector_norm(_gradient(critic, points).reshape(len(points), -1), dim=1)
        excess = norms - self.target
        if self.one_sided:
            excess = excess.relu()
        penalty: Tensor = self.weight * excess.square().mean()
        return penalty


def _gradient(critic: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """The critic's gradient at each sample; it has a graph if the caller has gradients enabled."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        points.requires_grad_()
        scores = critic(points)
        if scores.numel() != len(points):
            raise InputError(
                f"a gradient penalty needs a potential, one number a sample, got {tuple(scores.shape)} for "
                f"{len(points)} samples; build the critic with one feature"
            )
        if not scores.requires_grad:
            raise InputError("the critic has no gradient: its value does not depend on its input, or is detached")
        # Each score depends on its own sample only, so the gradient of their sum holds the gradient of each.
        (gradient,) = torch.autograd.grad(scores.sum(), points, create_graph=differentiable, materialize_grads=True)
    return gradient
