"""What a claim is, and what was found of it: one kind of status for theorems and for figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch

from otgen.errors import InputError, RenamedWarning, suggestion, warn
from otgen.papers.relations import Relation


class Paper(StrEnum):
    """Where a claim stands: the name of the paper's folder, and of the paper on the command line."""

    SWGAN = "swgan"
    SEQSGDA = "seqsgda"
    SEMIDISCRETE = "semidiscrete"
    SCO = "sco"
    OWN = "own"
    """No paper's: the default recipe, toys, and closed forms that the tests rest on."""

    @property
    def citation(self) -> str:
        """Authors and year."""
        return _CITATIONS[self]

    @classmethod
    def of(cls, module: str) -> Paper:
        """The paper in whose folder a module stands, by the module's dotted name; of our own where it is in none."""
        return next((paper for paper in cls if f".papers.{paper}." in module), cls.OWN)

    @classmethod
    def named(cls, word: str) -> Paper:
        """The paper of a name; former names and authors are accepted with a warning.

        Raises:
            InputError: there is none; the message suggests one.
        """
        given = word.lower().split(" ")[0]
        if given in _FORMER:
            paper = _FORMER[given]
            warn(f"the paper {word!r} is now {paper.value!r}; the former name goes next release", RenamedWarning)
            return paper
        if given not in list(cls):
            known = ", ".join(f"{paper} ({paper.citation})" for paper in cls)
            near = suggestion(given, [paper.value for paper in cls]) or ";"
            raise InputError(f"there is no paper {word!r}{near} give one of {known}")
        return cls(given)


_CITATIONS = {
    Paper.SWGAN: "Sanjabi et al. 2018",
    Paper.SEQSGDA: "Adnan et al. 2021",
    Paper.SEMIDISCRETE: "Houdard et al. 2021",
    Paper.SCO: "Pinetz et al. 2018",
    Paper.OWN: "of our own",
}
_FORMER = {
    **dict.fromkeys(("000", "001", "sanjabi"), Paper.SWGAN),
    **dict.fromkeys(("002", "adnan"), Paper.SEQSGDA),
    **dict.fromkeys(("003", "houdard"), Paper.SEMIDISCRETE),
    **dict.fromkeys(("004", "pinetz"), Paper.SCO),
    **dict.fromkeys(("oracles", "closed"), Paper.OWN),
}


def paper_and_figure(name: str) -> tuple[Paper, str]:
    """The two parts of a figure's name: ``swgan.fig3`` is ``fig3`` of SWGAN's paper."""
    paper, _, figure = name.partition(".")
    return Paper(paper), figure


class Status(StrEnum):
    """What was found of a claim: of a theorem by its instances, of a figure's claim by its runs."""

    TRUE = "true"
    """A theorem: on all instances."""
    CONDITIONAL = "true under conditions"
    """A theorem: and seen to fail without them."""
    FALSE = "false as printed"
    """A theorem: and its correction is seen to hold."""
    LOOSE = "looser than recorded"
    """A theorem that holds, but no instance comes as near to the bound as was recorded: has a constant changed?"""
    REFUTED = "refuted"
    """A theorem: what is recorded to hold does not; none is recorded so."""
    HOLDS = "holds"
    """Runs: for every part of the claim."""
    FAILS = "does not hold"
    """Runs: for a part of the claim."""
    UNDECIDED = "undecided"
    """The seeds disagree; or a check could not be made, for instance as a solver did not reach its accuracy."""
    NOT_TESTED = "not tested"
    """Runs: there are none, or they are no ground to judge on."""


@dataclass(frozen=True)
class Verdict:
    """What the runs say to one part of a claim.

    Attributes:
        status: in a word.
        text: with the numbers that it rests on, or the reason why it was not tested and what was seen.
    """

    status: Status
    text: str


def distinct(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Each once, in order: parts that nothing can be said of often share the reason."""
    return tuple(dict.fromkeys(verdicts))


def overall(verdicts: Iterable[Verdict]) -> Status:
    """The status of a claim, which is meant for all of its parts.

    It does not hold where a part does not; else it is not tested where a part is not; else undecided where a part is.
    """
    statuses = {verdict.status for verdict in verdicts}
    return next((s for s in (Status.FAILS, Status.NOT_TESTED, Status.UNDECIDED) if s in statuses), Status.HOLDS)


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
class Claim(ABC):
    """A statement of a paper, with a check that can disagree.

    Attributes:
        where: its place in the paper.
        statement: what is claimed, in our words.
        conditions: what it needs to hold.
        corrected: what holds instead, where the printed statement does not.
        key: its short name, as ``otgen verify`` takes it; claims on a figure get theirs from the figure.
        paper: the paper; it follows from the folder.
    """

    where: str
    statement: str
    conditions: str = ""
    corrected: str = ""
    key: str = ""
    paper: Paper = Paper.OWN

    @abstractmethod
    def find(self, trials: Trials) -> Finding:
        """Check it.

        Args:
            trials: what random instances are drawn from, where it needs any.
        """


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found of a claim.

    Attributes:
        claim: what was checked.
        status: what was found of it.
        evidence: the numbers behind it, a line for each part.
        summary: the deciding numbers in a few words.
        relations: of a theorem, both sides of every statement, for its plot; of runs, none.
        as_recorded: whether a theorem's status is the recorded one; runs have none recorded.
    """

    claim: Claim
    status: Status
    evidence: Sequence[str]
    summary: str
    relations: Sequence[Relation] = ()
    as_recorded: bool = True

    @property
    def instances(self) -> int:
        """How many random instances were tried, over all relations."""
        return sum(relation.instances for relation in self.relations)
