"""A theorem: a function that puts both sides of a paper's statements beside each other on random instances."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module

from typing_extensions import override

from otgen.errors import InputError, OtgenError
from otgen.papers.claim import Claim, Finding, Paper, Status, Trials
from otgen.papers.relations import AtMost, Equal, Part, Relation, Slope, Standing, at_most, equal, power_law, straight

# All that a file of theorems needs, beside the problems that it tries them on.
__all__ = ["AtMost", "Check", "Equal", "Part", "Relation", "Slope", "Standing", "Status", "Theorem", "Trials"]
__all__ += ["all_theorems", "at_most", "equal", "judge", "power_law", "straight", "theorem"]

Check = Callable[..., Iterable[Relation]]
"""From trials, and the claim's constants as keywords with defaults, to its relations."""


@dataclass(frozen=True, kw_only=True)
class Theorem(Claim):
    """A statement with its check; :func:`theorem` makes one of a function.

    Attributes:
        check: draws instances and puts both sides of every statement beside each other.
        recorded: what was found when the check was written.
        constants: what replaces the check's own factors, powers and signs: a test changes one to see the check fail.
    """

    check: Check
    recorded: Status = Status.TRUE
    constants: Mapping[str, float] = field(default_factory=dict)

    def changed(self, **constants: float) -> Theorem:
        """The same statement with other constants."""
        return replace(self, constants=constants)

    @override
    def find(self, trials: Trials) -> Finding:
        try:
            relations = tuple(self.check(trials, **self.constants))
            status = judge(relations)
        except OtgenError as error:
            # The other claims are checked all the same.
            trouble = " ".join(str(error).split())
            return Finding(claim=self, status=Status.UNDECIDED, evidence=(trouble,), summary=trouble, as_recorded=False)
        return Finding(
            claim=self,
            status=status,
            evidence=[f"{r.part}: {r.label}: {r.standing}, {r.detail}" for r in relations],
            summary=_summary(relations),
            relations=relations,
            as_recorded=status is self.recorded,
        )


def theorem(
    key: str,
    where: str,
    statement: str,
    *,
    conditions: str = "",
    corrected: str = "",
    recorded: Status = Status.TRUE,
) -> Callable[[Check], Theorem]:
    """Make a theorem of a function ``(trials, *, constant=..., ...) -> relations``; its folder says the paper.

    Args:
        key: short name, as ``otgen verify`` takes it.
        where: number of the theorem or equation in the paper.
        statement: what is claimed, in our words.
        conditions: what it needs to hold.
        corrected: what holds instead, where the printed statement does not.
        recorded: what the check finds; a theorem that is not true as printed says so.
    """

    def made(check: Check) -> Theorem:
        return Theorem(
            where=where,
            statement=statement,
            conditions=conditions,
            corrected=corrected,
            key=key,
            paper=Paper.of(check.__module__),
            check=check,
            recorded=recorded,
        )

    return made


def all_theorems() -> list[Theorem]:
    """Every theorem in the papers' folders, paper by paper, in the order of their keys."""
    found: list[Theorem] = []
    for paper in Paper:
        folder = import_module(f"{__package__}.{paper}.theorems")
        modules = [import_module(f"{folder.__name__}.{file.name}") for file in pkgutil.iter_modules(folder.__path__)]
        own = [value for module in modules for value in vars(module).values() if isinstance(value, Theorem)]
        found += sorted({theorem.key: theorem for theorem in own}.values(), key=_place)
    return found


def _place(theorem: Theorem) -> tuple[int, str, int, str]:
    """Short prefixes first, numbers by their size: ``A2``, ``A10``, ``A10b``, ``B1``."""
    prefix, number, suffix = re.findall(r"[A-Z]+|\d+|[a-z]*$", theorem.key)[:3]
    return len(prefix), prefix, int(number), suffix


def judge(relations: Sequence[Relation]) -> Status:
    """The status that relations add up to.

    Printed statements that hold are TRUE, or CONDITIONAL where they were also seen to fail outside their conditions.
    Printed statements that fail are FALSE where every correction holds.

    Raises:
        InputError: where there is no relation.
    """
    if not relations:
        raise InputError("a theorem needs at least one relation to be judged by, got none; its check yields them")
    printed, corrected, outside = ([r for r in relations if r.part is part] for part in Part)
    if any(r.standing is Standing.LOOSE for r in (*printed, *corrected)):
        return Status.LOOSE
    if not _all(corrected, Standing.HOLDS) or not printed:
        return Status.REFUTED
    if not _all(printed, Standing.HOLDS):
        return Status.FALSE if corrected else Status.REFUTED
    return Status.CONDITIONAL if outside and _all(outside, Standing.BROKEN) else Status.TRUE


def _all(relations: Sequence[Relation], standing: Standing) -> bool:
    return all(r.standing is standing for r in relations)


def _summary(relations: Sequence[Relation]) -> str:
    """The deciding number of each part: ``ratio 0.71``, or ``as claimed ratio 5.3, corrected ratio 0.58``."""
    parts = {part: [r for r in relations if r.part is part] for part in Part}
    texts = {part: _deciding(of_part).text for part, of_part in parts.items() if of_part}
    if list(texts) == [Part.PRINTED]:
        return texts[Part.PRINTED]
    return ", ".join(f"{part} {text}" for part, text in texts.items())


def _deciding(relations: Sequence[Relation]) -> Relation:
    """The one that does not hold, if there is one, else the first; of several of that kind the one farthest off.

    Slopes have no order: there the principal one, which a claim names first.
    """
    failing = [r for r in relations if r.standing is not Standing.HOLDS] or list(relations)
    alike = [r for r in failing if type(r) is type(failing[0])]
    return failing[0] if isinstance(failing[0], Slope) else max(alike, key=lambda r: r.worst)
