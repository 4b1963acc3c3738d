"""The terms of an objective that sums several transport problems, and the batches that they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from otgen.methods.base import Batches, Player
from otgen.ot import Cost, Discrete, Regulariser


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
        weight: its factor in the objective.
        left: the batch on the first side.
        right: the batch on the second side.
    """

    weight: float
    left: Side
    right: Side

    @property
    def moves(self) -> bool:
        """Whether the term depends on the generator; a term between two batches of data does not."""
        return isinstance(self.left, Fake) or isinstance(self.right, Fake)


class SelfTerms(StrEnum):
    """Which two batches each self term of a divergence compares."""

    SAME = "same"
    """A batch with itself, as in the papers. The divergence is 0 for equal batches, but exceeds that of the laws on
    average."""
    INDEPENDENT = "independent"
    """Two independent batches of the law. The divergence is 0 on average for equal laws, but noisier, and may be
    negative."""

    def divergence(self) -> tuple[Term, ...]:
        """The Sinkhorn divergence: Genevay et al. 2018; Adnan et al. 2021, (5)."""
        other = 0 if self is SelfTerms.SAME else 1
        return Term(1.0, Fake(), Real()), Term(-0.5, Fake(), Fake(other)), Term(-0.5, Real(), Real(other))


def is_divergence(terms: Sequence[Term]) -> bool:
    """Whether the weights sum to 0, as they do if the sum of the terms is 0 for equal laws."""
    return sum(term.weight for term in terms) == 0


def is_sinkhorn_divergence(terms: tuple[Term, ...]) -> bool:
    """Whether the terms are those of a Sinkhorn divergence, whose sign depends on the cost."""
    return terms in [kind.divergence() for kind in SelfTerms]


DIVERGENCE = SelfTerms.SAME.divergence()


def weighted(
    terms: Sequence[Term], points: Sides, cost: Cost, reg: Regulariser
) -> tuple[tuple[float, ...], tuple[Discrete, ...]]:
    """The weights of the terms, and their transport problems between points ``(batch, k)``."""
    problems = [Discrete(points[term.left], points[term.right], cost=cost, reg=reg) for term in terms]
    return tuple(term.weight for term in terms), tuple(problems)


def drawn(terms: Sequence[Term], generator: Player, batches: Batches, n: int) -> Sides:
    """``n`` samples for each side that occurs in the terms, in order of first occurrence."""
    return drawn_with_codes(terms, generator, batches, n)[0]


def drawn_with_codes(terms: Sequence[Term], generator: Player, batches: Batches, n: int) -> tuple[Sides, Sides]:
    """The same, and the codes of the generated samples."""
    samples: Sides = {}
    codes: Sides = {}
    for side in dict.fromkeys(side for term in terms for side in (term.left, term.right)):
        if isinstance(side, Fake):
            codes[side] = batches.latent(n)
            samples[side] = generator(codes[side])
        else:
            samples[side] = batches.real(n)
    return samples, codes


def features(clouds: Sides, critic: Player) -> Sides:
    """The features of all clouds, from one forward pass: in training mode they share batch statistics."""
    values = torch.split(critic(torch.cat(list(clouds.values()))), [len(cloud) for cloud in clouds.values()])
    return dict(zip(clouds, values, strict=True))
