"""The assumptions of the convergence theorems, checked on the quantities that a run logged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from otgen.methods import Method, SelfTerms, SWGANSinkhorn
from otgen.methods.transport import TransportMethod
from otgen.methods.wgan import KantorovichRubinstein
from otgen.ot import Cost

Records = Sequence[Mapping[str, Any]]

# With a median relative gap above this the problems do not count as solved: the error is no small part of the value.
_GAP = 0.05
# A Lipschitz constant that grows by more than this factor in the second half of a run does not count as bounded.
_GROWTH = 2.0
# Up to this Lipschitz constant a critic counts as 1-Lipschitz.
_STEEP = 1.05


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """An assumption of a theorem, and what the run shows about it.

    Attributes:
        name: name of the assumption.
        needed_by: paper and theorem.
        quantity: what was measured, with its numbers.
        met: whether the run meets it, as far as can be seen; None if this cannot be told.
    """

    name: str
    needed_by: str
    quantity: str
    met: bool | None


def assumptions(method: Method, records: Records) -> list[Assumption]:
    """The assumptions that can be checked for a run.

    Args:
        method: the run's method.
        records: the lines of its metrics.
    """
    return [*_of_the_cost(method), *_of_the_solves(records), *_of_the_slopes(method, records)]


def assumption_lines(assumptions: Sequence[Assumption]) -> list[str]:
    """A line for each assumption: met or not, its name, the quantity, who needs it."""
    words = {True: "met    ", False: "not met", None: "open   "}
    return [f"{words[a.met]}  {a.name}: {a.quantity} ({a.needed_by})" for a in assumptions]


def _of_the_cost(method: Method) -> Iterator[Assumption]:
    cost = getattr(method, "cost", None)
    if not isinstance(cost, Cost):
        return
    smooth = {True: "its gradient is Lipschitz", False: "its gradient jumps", None: "not known"}
    yield Assumption(
        name="smooth cost",
        needed_by="Sanjabi et al. 2018, Theorem 3.1; Houdard et al. 2021, Theorem 5",
        quantity=f"{cost}: {smooth[cost.smooth]}",
        met=cost.smooth,
    )
    # Without self terms the value is not expected to vanish for equal laws.
    if isinstance(method, TransportMethod | SWGANSinkhorn):
        positive = {True: "positive definite", False: "not positive definite for every eps", None: "not known"}
        independent = getattr(method, "self_terms", None) is SelfTerms.INDEPENDENT
        # The theorem is on the divergence of two laws, or of two batches that are each compared with themselves.
        of_laws = "; so it is of the laws: with independent self terms a minibatch's loss may be negative"
        yield Assumption(
            name="kernel of the cost, so that S >= 0",
            needed_by="Adnan et al. 2021, (19)",
            quantity=f"exp(-c/eps) is {positive[cost.negative_type]}{of_laws if independent else ''}",
            met=cost.negative_type,
        )


def _of_the_solves(records: Records) -> Iterator[Assumption]:
    # The gap of the potentials that trained the generator, relative to the batch's value; else that of the logged loss.
    gaps = [line["dual_gap"] / max(abs(line["value"]), 1e-300) for line in records if _has(line, "dual_gap", "value")]
    gaps = gaps or _column(records, "rel_gap")
    if gaps:
        yield Assumption(
            name="accuracy of the inner problem",
            needed_by="Sanjabi et al. 2018, Theorem 4.1",
            quantity=f"relative gap {median(gaps):.2g} at the median, {max(gaps):.2g} at most (wanted: {_GAP:g})",
            met=median(gaps) <= _GAP,
        )
    lines = [line for line in records if _has(line, "gradient_error_bound", "gradient_norm")]
    if lines:
        # Remark 4.2.2: the theorem needs the mean of the squares only.
        keys = ("gradient_error_bound", "gradient_norm")
        delta, norm = (math.sqrt(fmean(line[key] ** 2 for line in lines)) for key in keys)
        yield Assumption(
            name="gradient error delta below the gradient",
            needed_by="Sanjabi et al. 2018, Theorem 4.2",
            quantity=f"certified delta {delta:.2g}, gradient {norm:.2g}, root mean squares of {len(lines)} reports",
            met=delta < norm,
        )


def _of_the_slopes(method: Method, records: Records) -> Iterator[Assumption]:
    bounded_for = {
        "generator": "Sanjabi et al. 2018, Theorem 3.1; Houdard et al. 2021, Theorem 3",
        "critic": "Adnan et al. 2021, (21); Sanjabi et al. 2018, Theorem 3.1",
    }
    for player, needed_by in bounded_for.items():
        slopes = _column(records, f"{player}_lipschitz")
        if not slopes:
            continue
        half = len(slopes) // 2
        met = None if half < 1 else max(slopes[half:]) <= _GROWTH * max(slopes[:half])
        name = f"bounded Lipschitz constant of the {player}"
        if player == "critic" and isinstance(method, KantorovichRubinstein):
            name, needed_by = "critic with Lipschitz constant 1", "Pinetz et al. 2018, (1), (7)"
            met = slopes[-1] <= _STEEP
        quantity = f"largest slope found: {slopes[-1]:.3g} at the end, {max(slopes):.3g} in the whole run"
        yield Assumption(name=name, needed_by=needed_by, quantity=quantity, met=met)


def _has(line: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(line.get(key), int | float) for key in keys)


def _column(records: Records, key: str) -> list[float]:
    return [float(line[key]) for line in records if _has(line, key)]
