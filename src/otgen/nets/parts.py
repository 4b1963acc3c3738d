"""Parts of critics, as critics of their own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import CriticNet, Shape, SplitCriticNet
from otgen.nets.dcgan import DcganCritic
from otgen.nets.mlp import MlpCritic, MlpSplitCritic, check_size, check_widths


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


@dataclass(frozen=True, kw_only=True)
class SplitCritic(SplitCriticNet):
    """A critic in two parts whose trunk is any critic, and whose head is fully connected.

    The trunk ends in a layer normalisation without a learnt gain: a feature vector has the length ``sqrt(size)``.

    Attributes:
        net: the trunk before that.
        size: dimension of the feature vectors.
        head_widths: widths of the head's hidden layers.
        batch_norm: batch normalisation, without a learnt gain, before the layer normalisation. It takes away what all
            samples share, which would fill most of a vector's length: without it their directions hardly differ.
    """

    net: CriticNet = DcganCritic()
    size: int = 64
    head_widths: tuple[int, ...] = (128,)
    batch_norm: bool = True

    def __post_init__(self) -> None:
        check_widths(self.head_widths)
        check_size(self.size)

    @override
    def trunk(self, shape: Shape) -> nn.Module:
        norms: list[nn.Module] = [nn.BatchNorm1d(self.size, affine=False)] if self.batch_norm else []
        norms.append(nn.LayerNorm(self.size, elementwise_affine=False))
        return nn.Sequential(self.net.build(shape, self.size), *norms)

    @override
    def trunk_features(self, shape: Shape) -> int:
        return self.size

    @override
    def head(self, features_in: int, features: int) -> nn.Module:
        return MlpCritic(widths=self.head_widths).build((features_in,), features)
