"""What the convergence theorems assume of a run, as quantities that it logged, each with a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from otgen.methods import Method, SWGANSinkhorn
from otgen.methods.transport import TransportMethod
from otgen.methods.wgan import KantorovichRubinstein
from otgen.ot import Cost

Records = Sequence[Mapping[str, Any]]

# A relative gap at the median above this is no solved problem: the error is no small part of the value.
_GAP = 0.05
# A Lipschitz constant that grows by more than this over the second half of a run is not taken to be bounded.
_GROWTH = 2.0
# What a critic's constant may exceed 1 by before its value is none of a 1-Lipschitz function.
_STEEP = 1.05


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Something that a theorem needs, and what the run says to it.

    Attributes:
        name: of the assumption.
        needed_by: paper and theorem.
        quantity: what was found, with its numbers.
        met: whether the run meets it, as far as can be seen; None where it cannot be told.
    """

    name: str
    needed_by: str
    quantity: str
    met: bool | None


def assumptions(method: Method, records: Records) -> list[Assumption]:
    """What can be said of a run's assumptions.

    Args:
        method: the run's.
        records: the lines of its metrics.
    """
    found = [
        _smooth(method),
        _positive(method),
        _accuracy(records),
        _gradient(records),
        _bounded("generator", records, "Sanjabi et al. 2018, Theorem 3.1; Houdard et al. 2021, Theorem 3"),
        _critic(method, records),
    ]
    return [assumption for assumption in found if assumption is not None]


def _cost(method: Method) -> Cost | None:
    cost = getattr(method, "cost", None)
    return cost if isinstance(cost, Cost) else None


def _smooth(method: Method) -> Assumption | None:
    cost = _cost(method)
    if cost is None:
        return None
    text = {True: "its gradient is Lipschitz", False: "its gradient jumps", None: "not known"}[cost.smooth]
    return Assumption(
        name="smooth cost",
        needed_by="Sanjabi et al. 2018, Theorem 3.1; Houdard et al. 2021, Theorem 5",
        quantity=f"{cost}: {text}",
        met=cost.smooth,
    )


def _positive(method: Method) -> Assumption | None:
    cost = _cost(method)
    if cost is None or not isinstance(method, TransportMethod | SWGANSinkhorn):
        return None  # without self terms the value is not expected to vanish for equal laws
    text = {True: "positive definite", False: "not positive definite for every eps", None: "not known"}
    return Assumption(
        name="kernel of the cost, so that S >= 0",
        needed_by="Adnan et al. 2021, (19)",
        quantity=f"exp(-c/eps) is {text[cost.negative_type]}",
        met=cost.negative_type,
    )


def _accuracy(records: Records) -> Assumption | None:
    # The gap of the potentials that trained the generator, relative to the batch's value; else of the logged loss.
    gaps = [line["dual_gap"] / max(abs(line["value"]), 1e-300) for line in records if _has(line, "dual_gap", "value")]
    gaps = gaps or _column(records, "rel_gap")
    if not gaps:
        return None
    return Assumption(
        name="accuracy of the inner problem",
        needed_by="Sanjabi et al. 2018, Theorem 4.1",
        quantity=f"relative gap {median(gaps):.2g} at the median, {max(gaps):.2g} at most (wanted: {_GAP:g})",
        met=median(gaps) <= _GAP,
    )


def _gradient(records: Records) -> Assumption | None:
    lines = [line for line in records if _has(line, "gradient_error_bound", "gradient_norm")]
    if not lines:
        return None
    # Remark 4.2.2: the theorem needs the mean of the squares only.
    delta, norm = (
        math.sqrt(fmean(line[key] ** 2 for line in lines)) for key in ("gradient_error_bound", "gradient_norm")
    )
    return Assumption(
        name="gradient error delta below the gradient",
        needed_by="Sanjabi et al. 2018, Theorem 4.2",
        quantity=f"certified delta {delta:.2g}, gradient {norm:.2g}, root mean squares of {len(lines)} reports",
        met=delta < norm,
    )


def _critic(method: Method, records: Records) -> Assumption | None:
    slopes = _column(records, "critic_lipschitz")
    if not slopes or not isinstance(method, KantorovichRubinstein):
        return _bounded("critic", records, "Adnan et al. 2021, (21); Sanjabi et al. 2018, Theorem 3.1")
    return Assumption(
        name="critic with Lipschitz constant 1",
        needed_by="Pinetz et al. 2018, (1), (7)",
        quantity=f"largest slope found: {slopes[-1]:.3g} at the end, {max(slopes):.3g} in the whole run",
        met=slopes[-1] <= _STEEP,
    )


def _bounded(player: str, records: Records, needed_by: str) -> Assumption | None:
    slopes = _column(records, f"{player}_lipschitz")
    if not slopes:
        return None
    half = len(slopes) // 2
    met = None if half < 1 else max(slopes[half:]) <= _GROWTH * max(slopes[:half])
    return Assumption(
        name=f"bounded Lipschitz constant of the {player}",
        needed_by=needed_by,
        quantity=f"largest slope found: {slopes[-1]:.3g} at the end, {max(slopes):.3g} in the whole run",
        met=met,
    )


def _has(line: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(line.get(key), int | float) for key in keys)


def _column(records: Records, key: str) -> list[float]:
    return [float(line[key]) for line in records if _has(line, key)]
