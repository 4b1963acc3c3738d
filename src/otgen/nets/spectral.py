"""Spectral normalisation of a critic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, Shape
from otgen.nets.mlp import MlpCritic

_NORMALISED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _Scaled(nn.Module):
    """A weight times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return self.factor * weight


@dataclass(frozen=True, kw_only=True)
class SpectralNorm(CriticNet):
    """A critic whose linear and convolutional weights are ``scale W / sigma(W)`` (Miyato et al. 2018).

    sigma is the spectral norm of the weight as a matrix (output channels) x (the rest). One step of power iteration in
    every forward pass in training mode keeps its estimate up to date. With activations of slope at most 1 a network of
    n linear layers has a Lipschitz constant of about ``scale^n`` (Adnan et al. 2021, (21), whose k_SN is ``scale``).
    The norm of a convolution is at most ``sqrt(kernel height x width)`` times that of its matrix, and may exceed it.

    Attributes:
        net: the critic. Batch normalisation in it would undo the bound.
        scale: spectral norm that each weight is scaled to.
    """

    net: CriticNet = MlpCritic()
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise InputError(f"the scale of a spectral normalisation must be a positive number, got {self.scale}")

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        module = self.net.build(shape, features)
        for part in list(module.modules()):
            if isinstance(part, _NORMALISED):
                parametrizations.spectral_norm(part)
                if self.scale != 1:
                    parametrize.register_parametrization(part, "weight", _Scaled(self.scale))
        return module
