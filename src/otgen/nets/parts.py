"""Parts of critics, as critics of their own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, Shape, SplitCriticNet
from otgen.nets.mlp import MlpSplitCritic


@dataclass(frozen=True, kw_only=True)
class HeadOf(CriticNet):
    """The head of a critic in two parts, as a critic on features that a trunk has computed.

    Attributes:
        net: the critic.
    """

    net: SplitCriticNet = MlpSplitCritic()

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        if len(shape) != 1:
            raise InputError(f"HeadOf is for feature vectors (n, k), got samples of shape {shape}; use the net itself")
        return self.net.head(shape[0], features)


@dataclass(frozen=True, kw_only=True)
class TrunkOf(CriticNet):
    """The trunk of a critic in two parts, as a feature map for methods that accept any critic.

    Attributes:
        net: the critic.
    """

    net: SplitCriticNet = MlpSplitCritic()

    @override
    def build(self, shape: Shape, features: int) -> nn.Module:
        has = self.net.trunk_features(shape)
        if features != has:
            raise InputError(
                f"the trunk of {type(self.net).__name__} has {has} features, not {features}; ask for {has}"
            )
        return self.net.trunk(shape)
