"""Data with labels: clouds of points and small images, whose labels can be told by their values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.data import Classes, FiniteSource


@dataclass(frozen=True, kw_only=True)
class Labelled(FiniteSource):
    """``counts[k]`` samples of label k, each coordinate around ``k``, and images if the shape has three sizes.

    Attributes:
        counts: samples of each label.
        names: the labels; letters by default.
        size: shape of a sample.
        span: what ``value_range`` says.
        seed: of the noise.
    """

    counts: tuple[int, ...] = (12, 8)
    names: tuple[str, ...] = ()
    size: tuple[int, ...] = (2,)
    span: tuple[float, float] | None = None
    seed: int = 0

    @property
    def value_range(self) -> tuple[float, float] | None:
        return self.span

    def support(self) -> Tensor:
        rng = torch.Generator().manual_seed(self.seed)
        index = self.classes().index
        noise = 0.1 * torch.randn(len(index), *self.size, generator=rng)
        points = index.float().view(-1, *(1 for _ in self.size)) + noise
        return points if self.span is None else points.clamp(*self.span)

    def classes(self) -> Classes:
        names = self.names or tuple("abcdefghij"[: len(self.counts)])
        return Classes(names=names, index=torch.arange(len(self.counts)).repeat_interleave(torch.tensor(self.counts)))
