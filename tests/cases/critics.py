"""Small critics."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from otgen.methods import WGANGP
from otgen.nets import CriticNet, MlpCritic

SMALL = MlpCritic(widths=(8,))
PENALISED = WGANGP(batch=24, critic=SMALL, n_critic=2)


@dataclass(frozen=True, kw_only=True)
class BatchNormCritic(CriticNet):
    """A critic that mixes its samples, and whose batch statistics could leak."""

    def build(self, shape: tuple[int, ...], features: int) -> nn.Module:
        return nn.Sequential(nn.Linear(shape[0], 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, features))


@dataclass(frozen=True, kw_only=True)
class SpectralCritic(CriticNet):
    """A critic whose buffers, the singular vectors, move at every forward pass in training."""

    def build(self, shape: tuple[int, ...], features: int) -> nn.Module:
        first, last = spectral_norm(nn.Linear(shape[0], 8)), spectral_norm(nn.Linear(8, features))
        return nn.Sequential(first, nn.LayerNorm(8), nn.Tanh(), last)
