"""What an objective of several transport problems is made of: its terms, and the batches that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from otgen.methods.base import Batches, Player


@dataclass(frozen=True)
class Fake:
    """A batch of generated samples; batches of different index are independent."""

    index: int = 0


@dataclass(frozen=True)
class Real:
    """A batch of data; batches of different index are independent."""

    index: int = 0


Side = Fake | Real
Sides = dict[Side, Tensor]


@dataclass(frozen=True)
class Term:
    """One transport problem of an objective.

    Attributes:
        weight: its factor.
        left: one side.
        right: the other.
    """

    weight: float
    left: Side
    right: Side

    @property
    def moves(self) -> bool:
        """Whether the generator moves it: data against data is constant to it."""
        return isinstance(self.left, Fake) or isinstance(self.right, Fake)


class SelfTerms(StrEnum):
    """Between which batches the two self terms of a divergence are."""

    SAME = "same"
    """A batch and itself, as the papers have it: 0 for equal batches, but above the value of the laws on average."""
    INDEPENDENT = "independent"
    """Two independent batches of the law: 0 on average for equal laws, but noisier, and it may be negative."""

    def divergence(self) -> tuple[Term, ...]:
        """The Sinkhorn divergence: Genevay et al. 2018; Adnan et al. 2021, (5)."""
        other = 0 if self is SelfTerms.SAME else 1
        return (
            Term(1.0, Fake(), Real()),
            Term(-0.5, Fake(), Fake(other)),
            Term(-0.5, Real(), Real(other)),
        )


def is_divergence(terms: Sequence[Term]) -> bool:
    """Whether the sum of the terms is 0 for equal laws, as far as the weights say."""
    return sum(term.weight for term in terms) == 0


def is_sinkhorn_divergence(terms: tuple[Term, ...]) -> bool:
    """Whether the terms are those of a Sinkhorn divergence, whose sign depends on the cost."""
    return terms in [kind.divergence() for kind in SelfTerms]


DIVERGENCE = SelfTerms.SAME.divergence()


def drawn(terms: Sequence[Term], generator: Player, batches: Batches, n: int) -> Sides:
    """``n`` samples for each side that the terms name, in the order they are first named."""
    sides = dict.fromkeys(side for term in terms for side in (term.left, term.right))
    return {side: generator(batches.latent(n)) if isinstance(side, Fake) else batches.real(n) for side in sides}


def features(clouds: Sides, critic: Player) -> Sides:
    """The features of all clouds, in one pass: in training mode they share their batch statistics."""
    values = torch.split(critic(torch.cat(list(clouds.values()))), [len(cloud) for cloud in clouds.values()])
    return dict(zip(clouds, values, strict=True))
