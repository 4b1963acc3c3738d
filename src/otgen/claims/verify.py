"""Runs the checks, and compares each verdict with the recorded one."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from otgen.claims.base import Theorem, TheoremStatus, Trials, judge
from otgen.claims.relations import Cited, Part, Relation, Slope, Standing
from otgen.errors import OtgenError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        theorem: that was checked.
        status: that its relations add up to.
        relations: both sides of every statement.
        seconds: that it took.
        trouble: why the check could not be made; empty where it was.
    """

    theorem: Theorem
    status: TheoremStatus
    relations: Sequence[Relation]
    seconds: float
    trouble: str = ""

    @property
    def as_recorded(self) -> bool:
        """Whether the verdict is the recorded one."""
        return self.status is self.theorem.recorded

    @property
    def computed(self) -> bool:
        """Whether anything was computed; a claim about long runs quotes their report instead."""
        return not self.relations or not all(isinstance(relation, Cited) for relation in self.relations)

    @property
    def instances(self) -> int:
        """How many instances were tried, over all relations."""
        return sum(relation.instances for relation in self.relations)

    @property
    def worst(self) -> str:
        """The deciding number of each part: ``ratio 0.71``, or ``as claimed ratio 5.3, corrected ratio 0.58``."""
        if self.trouble:
            return self.trouble
        texts = {}
        for part in Part:
            relations = [r for r in self.relations if r.part is part]
            if relations:
                texts[part] = _deciding(relations).text
        if list(texts) == [Part.PRINTED]:
            return texts[Part.PRINTED]
        return ", ".join(f"{part} {text}" for part, text in texts.items())


def verify(claims: Iterable[Theorem], *, n: int = 1000, seed: int = 0) -> Iterator[Finding]:
    """Check claims one after another.

    Args:
        claims: what to check.
        n: about how many random instances of each; fewer than some 200 may come nowhere near a bound, which then
            counts as looser than recorded.
        seed: of the instances; a claim's instances do not depend on which others are checked.
    """
    for theorem in claims:
        start = time.perf_counter()
        rng = torch.Generator().manual_seed(seed ^ zlib.crc32(theorem.key.encode()))
        relations: tuple[Relation, ...] = ()
        trouble = ""
        try:
            relations = tuple(theorem.relations(Trials(n=n, rng=rng)))
            status = judge(relations)
        except OtgenError as error:
            # The other claims are checked all the same.
            status, trouble = TheoremStatus.UNDECIDED, " ".join(str(error).split())
        seconds = time.perf_counter() - start
        yield Finding(theorem=theorem, status=status, relations=relations, seconds=seconds, trouble=trouble)


def _deciding(relations: Sequence[Relation]) -> Relation:
    """The one that does not hold, if there is one, else the first; of several of that kind the one farthest off.

    Slopes have no order: there the principal one, which a claim names first.
    """
    failing = [r for r in relations if r.standing is not Standing.HOLDS] or list(relations)
    alike = [r for r in failing if type(r) is type(failing[0])]
    return failing[0] if isinstance(failing[0], Slope | Cited) else max(alike, key=lambda r: r.worst)
