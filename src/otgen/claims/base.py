"""What a claim is: a statement of a paper, with a check that could refute it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch

from otgen.claims.relations import Cited, Part, Relation, Standing
from otgen.errors import InputError


class Paper(StrEnum):
    """Where a claim stands, by the number that the command takes."""

    SANJABI = "000"
    ADNAN = "002"
    HOUDARD = "003"
    PINETZ = "004"
    ORACLES = "oracles"
    """Closed forms of our own, which the tests rest on."""

    @property
    def authors(self) -> str:
        """Authors and year."""
        return _AUTHORS[self]


_AUTHORS = {
    Paper.SANJABI: "Sanjabi et al. 2018",
    Paper.ADNAN: "Adnan et al. 2021",
    Paper.HOUDARD: "Houdard et al. 2021",
    Paper.PINETZ: "Pinetz et al. 2018",
    Paper.ORACLES: "closed forms",
}


class TheoremStatus(StrEnum):
    """What the check says to the printed statement."""

    TRUE = "true"
    CONDITIONAL = "true under conditions"
    """And seen to fail without them."""
    FALSE = "false as printed"
    """And the correction is seen to hold."""
    SUPPORTED = "supported by runs"
    """No theorem: what was measured agrees."""
    UNSUPPORTED = "not supported by runs"
    """No theorem: what was measured disagrees, or the seeds do."""
    REFUTED = "refuted"
    """What is recorded to hold does not; no claim is recorded so."""
    LOOSE = "looser than recorded"
    """It holds, but no instance comes as near to the bound as was recorded: has a constant changed?"""
    UNDECIDED = "not decided"
    """The check itself failed, for instance as a solver did not reach its accuracy."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What a check draws its random instances from.

    Attributes:
        n: about how many instances to try; a check whose instances are costly takes fewer, :meth:`at_most`.
        rng: seeded by the command's seed and the claim's key.
    """

    n: int
    rng: torch.Generator

    def at_most(self, most: int) -> int:
        """How many costly instances to try: at least 2."""
        return max(2, min(self.n, most))


@dataclass(frozen=True, kw_only=True)
class Theorem(ABC):
    """A statement of a paper with its check.

    A claim's constants (factors, powers, signs) are fields, so that a test can change one and see the check fail.
    """

    key: ClassVar[str]
    """Short name, as ``otgen verify`` takes it."""
    paper: ClassVar[Paper]
    """By default that of the folder in which the class stands."""
    where: ClassVar[str]
    """Number of the theorem or equation in the paper."""
    statement: ClassVar[str]
    """What is claimed, in our words."""
    conditions: ClassVar[str] = ""
    """What it needs to hold."""
    corrected: ClassVar[str] = ""
    """What holds instead, where the printed statement does not."""
    recorded: ClassVar[TheoremStatus] = TheoremStatus.TRUE
    """What the check found when it was written; a theorem that is not true as printed says so."""

    def __init_subclass__(cls) -> None:
        folder = cls.__module__.split(".")[-2:-1]
        if not hasattr(cls, "paper") and folder and folder[0].upper() in Paper.__members__:
            cls.paper = Paper[folder[0].upper()]

    @abstractmethod
    def relations(self, trials: Trials) -> Iterable[Relation]:
        """Draw instances and put both sides of every statement beside each other.

        Args:
            trials: how many, and from which random stream.
        """


def judge(relations: Sequence[Relation]) -> TheoremStatus:
    """The verdict that relations add up to.

    Printed statements that hold are TRUE, or CONDITIONAL where they were also seen to fail outside their conditions.
    Printed statements that fail are FALSE where every correction holds.

    Raises:
        InputError: where there is no relation.
    """
    if not relations:
        raise InputError("a claim needs at least one relation to be judged by, got none; see Theorem.relations")
    by_part = {part: [r for r in relations if r.part is part] for part in Part}
    printed, corrected, outside = (by_part[part] for part in Part)
    if all(isinstance(r, Cited) for r in relations):
        return TheoremStatus.SUPPORTED if _all(printed, Standing.HOLDS) else TheoremStatus.UNSUPPORTED
    if any(r.standing is Standing.LOOSE for r in (*printed, *corrected)):
        return TheoremStatus.LOOSE
    if not _all(corrected, Standing.HOLDS) or not printed:
        return TheoremStatus.REFUTED
    if not _all(printed, Standing.HOLDS):
        return TheoremStatus.FALSE if corrected else TheoremStatus.REFUTED
    return TheoremStatus.CONDITIONAL if outside and _all(outside, Standing.BROKEN) else TheoremStatus.TRUE


def _all(relations: Sequence[Relation], standing: Standing) -> bool:
    return all(r.standing is standing for r in relations)
