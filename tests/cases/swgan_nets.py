"""The networks of Sanjabi et al. 2018, small."""

import torch
from torch import nn

from otgen.nets import CriticNet, GeneratorNet, GluReading, SWGANMnistCritic, SWGANMnistGenerator

Net = GeneratorNet | CriticNet
MNIST, CIFAR = (1, 28, 28), (3, 32, 32)
SYMMETRIC = (-1.0, 1.0)
POST, PRE = GluReading.POST, GluReading.PRE


def build(net: Net, shape: tuple[int, ...]) -> nn.Module:
    return net.build((128,), shape, SYMMETRIC) if isinstance(net, GeneratorNet) else net.build(shape, 3)


def meta(net: Net, shape: tuple[int, ...]) -> nn.Module:
    with torch.device("meta"):
        return build(net, shape)


def own_shape(net: Net) -> tuple[int, ...]:
    """The shape of the samples that a network is for."""
    return MNIST if isinstance(net, SWGANMnistGenerator | SWGANMnistCritic) else CIFAR
