"""What a solution of a problem with forbidden pairs must never do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cases.forbidden_problems import Forbidding, described, entropic_truth, finite_twin, forbidding, linear_truth
from cases.hard_checks import SOLVERS
from otgen.ot import KL, NoReg, Regulariser, Solution, Solver, Status, solve

TOL = 1e-3
# What the references may be off by, relative to the costs and eps.
_ROOM = 1e-10
# The same for linear programming, which takes marginals to 1e-7.
_LINEAR = 1e-6


@dataclass
class Report:
    """What came of many solves."""

    solves: int = 0
    converged: int = 0
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For an assertion."""
        head = f"{len(self.wrong)} wrong of {self.solves} solves ({self.converged} converged)"
        return "\n".join([head, *self.wrong[:12]])


def report(kind: type[Regulariser], seeds: range, solvers: tuple[Solver | None, ...] = ()) -> Report:
    """Of all these problems, by all solvers of the regulariser, or by those given."""
    total = Report()
    for seed in seeds:
        given = forbidding(seed, kind)
        low, high = _truth(given)
        for solver in solvers or SOLVERS[kind]:
            status, wrong = _tried(given, solver, low, high)
            total.solves += 1
            total.converged += status is Status.CONVERGED
            where = f"forbidding({seed}, {kind.__name__}) by {solver}, {status and status.name}"
            total.wrong += [f"{where}: {what}\n    {described(given)}" for what in wrong]
    return total


def _truth(given: Forbidding) -> tuple[float, float]:
    """An interval that holds the value, widened by the roundoff of the reference."""
    twin = solve(finite_twin(given), tol=1e-9, on_unconverged="ignore")
    low, high = float(twin.lower), float(twin.upper)
    size = float(given.C[given.C.isfinite()].abs().max()) + getattr(given.reg, "eps", 0.0)
    room = _ROOM * size
    if isinstance(given.reg, NoReg):
        exact = linear_truth(given)
        assert low - _LINEAR * size <= exact <= high + _LINEAR * size, "the references differ"
    if isinstance(given.reg, KL):
        entropic = entropic_truth(given)
        low, high = (low, high) if entropic is None else (entropic, entropic)
    if given.C.dtype == torch.float32:
        # Blocks agree in their masses to the roundoff of the weights: a pair that no plan uses may have as much.
        room += 1e-6 * size if bool((given.C.isfinite().numpy() != given.used).any()) else 0.0
    return low - room, high + room


def _tried(given: Forbidding, solver: Solver | None, low: float, high: float) -> tuple[Status | None, list[str]]:
    leaves = [t.clone().requires_grad_() for t in (given.C, given.a, given.b)]
    try:
        found = solve(given.problem(*leaves), solver, tol=TOL, max_steps=300, on_unconverged="ignore")
        wrong = [*_bounds(found, low, high), *_plan(found, given), *_gradients(found, leaves)]
    except Exception as error:
        return None, [f"{type(error).__name__}: {error}"]
    return found.status, wrong


def _bounds(found: Solution, low: float, high: float) -> Iterator[str]:
    lower, upper, value = float(found.lower), float(found.upper), float(found.value.detach())
    if not all(map(math.isfinite, (lower, upper, value, float(found.value_linear)))) or "nan" in repr(found):
        yield f"not finite: value {value}, [{lower}, {upper}], linear {float(found.value_linear)}, {found!r}"
        return
    if not lower <= upper:
        yield f"lower {lower} > upper {upper}"
    if lower > high or upper < low:
        yield f"[{lower!r}, {upper!r}] misses the truth in [{low!r}, {high!r}]"
    size = max(abs(lower), abs(upper))
    if found.converged and not upper - lower <= TOL * size:
        yield f"converged with gap {upper - lower:.3g} of [{lower}, {upper}]"
    costs = found.problem.largest_cost + found.eps
    room = 64 * torch.finfo(found.value.dtype).eps * (size + costs)
    if not lower - room <= value <= upper + room:
        yield f"value {value!r} outside [{lower!r}, {upper!r}]"


def _plan(found: Solution, given: Forbidding) -> Iterator[str]:
    plan = found.plan()
    if not bool((plan >= 0).all()) or not bool(plan.isfinite().all()):
        yield f"plan {plan.tolist()}"
    elif bool((plan[given.C.isinf()] != 0).any()):
        yield f"mass on forbidden pairs: {plan.tolist()}"
    weights = found.problem.weights64[0]
    off = (plan.double().sum(-1) - weights).abs()
    # A light row may hang on columns that are right only to the roundoff of the whole mass.
    room = 64 * torch.finfo(plan.dtype).eps * weights + 4 * torch.finfo(torch.float64).eps
    if bool((off > room).any()):
        yield f"rows of the plan are off by {off.tolist()}"
    if math.isnan(found.grad_error_bound.plan):
        yield "grad_error_bound.plan is NaN"


def _gradients(found: Solution, leaves: list[Tensor]) -> Iterator[str]:
    gradients = torch.autograd.grad(found.value, leaves)
    if not all(bool(one.isfinite().all()) for one in gradients):
        yield f"gradients {[one.tolist() for one in gradients]}"
    elif bool((gradients[0][leaves[0].isinf()] != 0).any()):
        yield "a forbidden cost has a gradient"
