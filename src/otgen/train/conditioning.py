"""Generators that are conditioned on labels: they learn the law of pairs, so that every method trains them unchanged.

The data law is that of a sample with its label's code appended, the latent law that of a latent vector with a one-hot
vector appended, and the generator copies the label from its input to its output. A wrong label then costs distance,
and a critic sees the label beside the sample.
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from otgen.data import FiniteSource, LabelCode, Source, fingerprint
from otgen.data.labelled import LabelledData, LabelledLatent
from otgen.nets import GeneratorNet
from otgen.train.checkpoint import Shapes


class Laws(NamedTuple):
    """The laws that a run trains on.

    Attributes:
        data: the data law, with the labels' codes if the run is conditioned on labels.
        latent: the latent law, likewise.
    """

    data: Source
    latent: Source


class LoudLabels(nn.Module):
    """The first layer of a conditional generator, which makes the one-hot vector as long as a typical latent vector.

    A fresh linear layer hardly hears a one-hot vector of length 1 beside the many coordinates of a latent vector: on
    digits the label is then missed three times as often (measured after 2,000 steps).

    Args:
        count: the number of labels, K.
        length: the length that the one-hot vector is given.
    """

    def __init__(self, count: int, length: float) -> None:
        super().__init__()
        self.count, self.length = count, length

    def forward(self, codes: Tensor) -> Tensor:
        """Latent vectors with longer one-hot vectors, ``(n, d + K)``."""
        z, one_hot = torch.split(codes, [codes.shape[1] - self.count, self.count], 1)
        return torch.cat((z, self.length * one_hot), 1)


class ConditionalGenerator(nn.Module):
    """A generator of samples with their labels' codes.

    Args:
        net: the generator of samples alone, from latent vectors with a one-hot vector ``(n, d + K)``.
        code: how labels are appended.
    """

    def __init__(self, net: nn.Module, code: LabelCode) -> None:
        super().__init__()
        self.net, self.code = net, code

    def forward(self, codes: Tensor) -> Tensor:
        """Samples with codes, ``(n, *shape)``, of latent vectors with one-hot vectors, ``(n, d + K)``."""
        return self.code.append(self.net(codes), codes[:, -self.code.count :])


def laws(data: Source, latent: Source, code: LabelCode | None) -> Laws:
    """The laws to train on: the given ones, or those of pairs with labels."""
    if code is None:
        return Laws(data, latent)
    assert isinstance(data, FiniteSource)
    return Laws(LabelledData(source=data, code=code), labelled(latent, code))


def labelled(latent: Source, code: LabelCode | None) -> Source:
    """The law of what the generator reads: latent vectors, with a one-hot vector if there are labels."""
    return latent if code is None else LabelledLatent(latent=latent, code=code)


def built(net: GeneratorNet, latent: Source, shapes: Shapes) -> nn.Module:
    """The generator to train: of samples, or of pairs with labels."""
    inner = net.build(labelled(latent, shapes.labels).shape, shapes.shape, shapes.value_range)
    if shapes.labels is None:
        return inner
    # The length of a vector whose coordinates have variance 1.
    loud = LoudLabels(shapes.labels.count, math.sqrt(math.prod(latent.shape)))
    return ConditionalGenerator(nn.Sequential(loud, inner), shapes.labels)


def of_samples(generator: nn.Module) -> nn.Module:
    """The generator of samples alone, without the labels' codes."""
    return generator.net if isinstance(generator, ConditionalGenerator) else generator


def data_fingerprint(data: Source) -> str:
    """The fingerprint of the data and of the labels that condition a generator, if there are any."""
    found, classes = fingerprint(data), data.classes() if isinstance(data, FiniteSource) else None
    if classes is None:
        return found
    digest = hashlib.sha256(f"{found} {classes.names}\n".encode())
    digest.update(classes.index.contiguous().numpy().data)
    return digest.hexdigest()
