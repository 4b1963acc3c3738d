"""Finds every public component of a kind, so that a new one is under contract without being listed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest

from otgen import ot
from otgen.errors import InputError
from otgen.ot import Acceleration, Cosine, Cost, LpPower, PNorm, Sinkhorn, SmoothRegulariser, SqEuclidean

T = TypeVar("T")


def public(kind: type[T]) -> list[type[T]]:
    """The concrete classes of a kind that `otgen.ot` exports."""
    exported = [getattr(ot, name) for name in ot.__all__]
    found = [c for c in exported if inspect.isclass(c) and issubclass(c, kind) and not inspect.isabstract(c)]
    assert found, f"otgen.ot exports no {kind.__name__}"
    return sorted(found, key=lambda c: c.__name__)


def everywhere(kind: type[T]) -> set[type[T]]:
    """The concrete classes of a kind defined in the package, exported or not; those of the claims aside."""
    found, queue = set(), [kind]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            module = child.__module__
            if not inspect.isabstract(child) and module.startswith("otgen.") and not module.startswith("otgen.papers."):
                found.add(child)
    return found


def default_instances(kind: type[T]) -> list[T]:
    """One of each, as it comes without arguments."""
    return [cls() for cls in public(kind)]


def name(component: Any) -> str:
    """For test ids."""
    return str(component)


# Settings of a component that are worth the same laws as its default.
EXTRA_COSTS: tuple[Cost, ...] = (PNorm(p=1.5), PNorm(p=3.0), LpPower(p=3.0))
COSTS: list[Cost] = default_instances(Cost) + list(EXTRA_COSTS)  # type: ignore[type-abstract]
# The four that the library promises; see the list.
FOUR_COSTS: tuple[Cost, ...] = (SqEuclidean(), PNorm(), ot.L1(), Cosine())
Smooth: TypeAlias = type[SmoothRegulariser]
SMOOTH: list[Smooth] = public(SmoothRegulariser)
# Costs that depend on the difference of the points alone.
TRANSLATION_INVARIANT: list[Cost] = [c for c in COSTS if not isinstance(c, Cosine)]


def solvers_for(reg: ot.Regulariser) -> list[ot.Solver]:
    """Every public solver of discrete problems that accepts this regulariser, Sinkhorn in each of its updates."""
    import torch

    problem = ot.Discrete.from_matrix(torch.zeros(1, 1), reg=reg)
    known = default_instances(ot.DiscreteSolver)  # type: ignore[type-abstract]
    candidates: list[ot.Solver] = [solver for solver in known if not solver.approximates]
    candidates += [Sinkhorn(update=ot.SinkhornUpdate.SYMMETRIC), Sinkhorn(anneal=0.8), Sinkhorn.fastest()]
    candidates += [Sinkhorn(acceleration=kind) for kind in (Acceleration.RELAXED, Acceleration.ANDERSON)]
    accepted = []
    for solver in candidates:
        try:
            solver.accepts(problem)
        except InputError:
            continue
        accepted.append(solver)
    assert accepted, f"no solver takes {reg}"
    return accepted


def each(cases: Sequence[tuple[ot.Regulariser, Any]]) -> pytest.MarkDecorator:
    """Of regularisers with solvers."""
    return pytest.mark.parametrize(("reg", "solver"), cases, ids=[f"{type(r).__name__}-{s}" for r, s in cases])


def pairs(make: Callable[[Smooth], SmoothRegulariser]) -> list[tuple[SmoothRegulariser, Any]]:
    """Every smooth regulariser with every solver that takes it."""
    return [(reg, solver) for cls in SMOOTH for reg in [make(cls)] for solver in solvers_for(reg)]


PAIRS = pairs(lambda cls: cls(eps=0.2))
every_pair = each(PAIRS)
every_smooth = pytest.mark.parametrize("cls", SMOOTH)
