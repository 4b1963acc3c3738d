"""What a solution must never do, on a problem whose truth is known to sixty digits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from cases.decimal_costs import digits, gradient
from cases.exact_truth import Bracket, Measures, as_numbers, bracket
from cases.hard_problems import described, hard_problem
from otgen import ot
from otgen.errors import InputError
from otgen.ot import KL, NoReg, Quadratic, Regulariser, Sinkhorn, Solution, Solver, Status, solve

TOL = 1e-3
SOLVERS: dict[type[Regulariser], tuple[Solver | None, ...]] = {
    KL: (
        None,
        Sinkhorn(),
        Sinkhorn.fastest(),
        Sinkhorn(update=ot.SinkhornUpdate.SYMMETRIC),
        Sinkhorn(acceleration=ot.Acceleration.RELAXED, relaxation=1.7),
        Sinkhorn(acceleration=ot.Acceleration.ANDERSON),
        ot.Newton(),
        ot.DualAscent(),
    ),
    Quadratic: (None, ot.Newton(), ot.DualAscent()),
    NoReg: (None, ot.Exact()),
}
# A status that does not say that numbers may be missing.
_SAYS_NOTHING = ("CONVERGED", "FIXED_STEPS", "MAX_STEPS", "ROUNDING")
# Units of roundoff of the problem's dtype that a row of the plan may be off by, and the value outside the interval.
_ROW_UNITS, _VALUE_UNITS = 16, 8


@dataclass(frozen=True)
class Tried:
    """What came of one solve.

    Attributes:
        status: how it ended; None if it was refused.
        wrong: what is false in it.
    """

    status: Status | None
    wrong: list[str]


def tried(given: Measures, solver: Solver | None, truth: Bracket) -> Tried:
    """Solve with the fuzz's settings, and check all that is promised."""
    leaves = [t.clone().requires_grad_() for t in given.inputs()]
    try:
        found = solve(given.problem(*leaves), solver, tol=TOL, max_steps=300, on_unconverged="ignore")
        _ = found.interval
    except InputError as refusal:
        return Tried(None, [] if _beyond(given, truth) else [f"refused although the dtype holds it: {refusal}"])
    except Exception as error:
        return Tried(None, [f"{type(error).__name__}: {error}"])
    try:
        return Tried(found.status, _wrong(found, leaves, given, truth))
    except Exception as error:
        return Tried(found.status, [f"read afterwards, {type(error).__name__}: {error}"])


def _wrong(found: Solution, leaves: list[Tensor], given: Measures, truth: Bracket) -> list[str]:
    wrong = list(_bounds(found, float(found.lower), float(found.upper), truth))
    if found.status.name in _SAYS_NOTHING:
        gradients = torch.autograd.grad(found.value, leaves)
        wrong += [*_plan(found, given, truth), *_gradients(found, gradients, given, truth)]
    if "nan" in repr(found):
        wrong.append(f"repr {found!r}")
    return wrong


def _beyond(given: Measures, truth: Bracket) -> bool:
    """Whether a cost, or eps, is outside the dtype's normal numbers, with a few bits of room."""
    limits = torch.finfo(given.a.dtype)
    sizes = [abs(float(c)) for row in truth.costs for c in row]
    eps = getattr(given.reg, "eps", 1.0)
    return max(*sizes, eps) > limits.max / 64 or eps < limits.tiny * 64


def _bounds(found: Solution, lower: float, upper: float, truth: Bracket) -> Iterator[str]:
    size, value = max(abs(lower), abs(upper)), float(found.value.detach())
    rel_gap = float(found.rel_gap)
    if any(map(math.isnan, (lower, upper, value, rel_gap, float(found.value_linear)))):
        yield f"NaN: value {value}, [{lower}, {upper}], rel_gap {rel_gap}, linear {float(found.value_linear)}"
        return
    if found.status.name in _SAYS_NOTHING and not all(map(math.isfinite, (lower, upper, value))):
        yield f"not finite: value {value}, [{lower}, {upper}]"
    if not lower <= upper:
        yield f"lower {lower} > upper {upper}"
    missed = truth.missed_by(lower, upper)
    if missed:
        yield f"interval [{lower!r}, {upper!r}] misses the truth {float(truth.low)!r} by {missed:.2g}"
    if found.converged and not upper - lower <= TOL * size:
        yield f"converged with gap {upper - lower:.3g} of [{lower}, {upper}]"
    if size and math.isfinite(size) and not math.isclose(rel_gap, (upper - lower) / size, rel_tol=1e-9):
        yield f"rel_gap {rel_gap} is not {(upper - lower) / size}"
    limits = torch.finfo(found.value.dtype)
    # The value is computed from the costs in the dtype, whose own roundoff it has.
    errors = found.problem.cost_rounding(found.value.dtype)
    room = (_VALUE_UNITS * limits.eps + errors.relative) * size + limits.tiny
    for weights, part in zip(found.problem.weights64, (errors.rows, errors.columns), strict=True):
        room += 0.0 if part is None else float(weights @ part)
    if not lower - room <= value <= upper + room:
        yield f"value {value!r} outside [{lower!r}, {upper!r}] by {max(lower - value, value - upper):.2g}"


def _plan(found: Solution, given: Measures, truth: Bracket) -> Iterator[str]:
    plan = found.plan()
    if not bool(torch.isfinite(plan).all()) or bool((plan < 0).any()):
        yield f"plan {plan.tolist()}"
        return
    weights = torch.tensor([float(w) for w in given.weights()[0]], dtype=torch.float64)
    limits = torch.finfo(plan.dtype)
    off = (plan.double().sum(-1) - weights).abs()
    # Numbers below the normal ones are rounded to multiples of `tiny * eps`.
    if bool((off > _ROW_UNITS * limits.eps * weights + plan.shape[-1] * limits.tiny * limits.eps).any()):
        yield f"rows of the plan are {(plan.double().sum(-1) / weights).tolist()} of their weights {weights.tolist()}"
    bound = found.grad_error_bound.plan
    if math.isnan(bound):
        yield "grad_error_bound.plan is NaN"
    if not isinstance(given.reg, NoReg):
        best = torch.tensor(as_numbers(truth.plan), dtype=torch.float64)
        error = float((plan.double() - best).abs().sum())
        # What the truth leaves open, and the roundings of this comparison.
        if not error <= bound * (1 + 1e-9) + float(truth.plan_error) + 1e-14:
            yield f"plan is off by {error:.3g} in L1, bound {bound:.3g}"


def _gradients(found: Solution, gradients: tuple[Tensor, ...], given: Measures, truth: Bracket) -> Iterator[str]:
    if not all(bool(torch.isfinite(one).all()) for one in gradients):
        yield f"gradients {[one.tolist() for one in gradients]}"
        return
    bound = found.grad_error_bound
    numbers = [one for one in (bound.plan, bound.x, bound.y, bound.relative) if one is not None]
    if any(map(math.isnan, numbers)):
        yield f"NaN in {bound}"
        return
    if given.C is not None or isinstance(given.reg, NoReg):
        return
    assert given.x is not None
    assert given.y is not None
    transposed = [list(column) for column in zip(*truth.plan, strict=True)]
    sides = ((bound.x, given.x, given.y, truth.plan), (bound.y, given.y, given.x, transposed))
    for (limit, one, other, plan), got in zip(sides, gradients, strict=True):
        with digits(80):
            best = gradient(given.cost, one, other, plan)
            if best is None or limit is None:
                continue
            off = [
                [Decimal(p) - q for p, q in zip(*rows, strict=True)] for rows in zip(got.tolist(), best, strict=True)
            ]
            error = sum((p * p for row in off for p in row), Decimal(0)).sqrt()
            size = sum((abs(p) for row in best for p in row), Decimal(0))
            # The truth's own error is far below the roundings of this comparison.
            if not error <= Decimal(limit * (1 + 1e-9)) + size * Decimal("1e-13"):
                yield f"gradient is off by {float(error):.3g}, bound {limit:.3g}, its size {float(size):.3g}"


@dataclass
class Report:
    """What came of many solves."""

    solves: int = 0
    converged: int = 0
    refused: int = 0
    wrong: list[str] = None  # type: ignore[assignment]

    def text(self, most: int = 12) -> str:
        """For an assertion."""
        head = f"{len(self.wrong)} wrong of {self.solves} solves ({self.converged} converged, {self.refused} refused)"
        return "\n".join([head, *self.wrong[:most]])


def report(kind: type[Regulariser], seeds: range, solvers: tuple[Solver | None, ...], *, tame: bool = False) -> Report:
    """Of all these problems and solvers."""
    total = Report(wrong=[])
    for seed in seeds:
        given = hard_problem(seed, kind, tame=tame)
        truth = bracket(given)
        for solver in solvers:
            one = tried(given, solver, truth)
            total.solves += 1
            total.converged += one.status is Status.CONVERGED
            total.refused += one.status is None
            where = f"hard_problem({seed}, {kind.__name__}, tame={tame}) by {solver}, {one.status and one.status.name}"
            total.wrong += [f"{where}: {what}\n    {described(given)}" for what in one.wrong]
    return total
