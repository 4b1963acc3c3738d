"""Losses between measures of any mass, as modules, and the sums of unbalanced values behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.interval import Interval
from otgen.ot.core.loop import LoopSettings, LossOptions, OnUnconverged
from otgen.ot.core.results import Status
from otgen.ot.core.solver import Solver
from otgen.ot.costs.base import Cost
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.losses.certified_sum import CertifiedSum, is_nothing, tell_of_sum
from otgen.ot.losses.combined_gap import combined, gap_of_terms, merged_weights
from otgen.ot.losses.divergences import warn_if_negative
from otgen.ot.losses.joint_solve import sum_tolerance
from otgen.ot.regularisers.base import Regulariser
from otgen.ot.regularisers.kl import KL
from otgen.ot.solve import solve
from otgen.ot.unbalanced.dual import update_f
from otgen.ot.unbalanced.problem import Rho, Unbalanced, penalties
from otgen.ot.unbalanced.solution import UnbalancedSolution

# Solves, each to a smaller tolerance, until the sum is accurate; the part of the tolerance that each aims at.
_ROUNDS, _AIM = 5, 0.5


class UnbalancedCombination(CertifiedSum):
    """A weighted sum of unbalanced values and a constant, with the interval implied by theirs.

    Attributes:
        value: detached, shape of the batch.
        weights: the weights of the terms.
        status: how the solve of all terms ended. Under a tolerance it concerns the sum, not each term.
    """

    def __init__(
        self,
        value: Tensor,
        weights: tuple[float, ...],
        solutions: tuple[UnbalancedSolution, ...],
        interval: Interval,
        status: Status,
    ) -> None:
        super().__init__(value, weights, status)
        self._solutions, self._interval = tuple(solution.detached() for solution in solutions), interval

    @property
    @override
    def solutions(self) -> tuple[UnbalancedSolution, ...]:
        """The solution of each term, detached."""
        return self._solutions

    @property
    @override
    def interval(self) -> Interval:
        """Bounds on the sum."""
        return self._interval


def combine_unbalanced(
    weights: tuple[float, ...],
    problems: tuple[Unbalanced, ...],
    solver: Solver | None = None,
    constant: Tensor | float = 0.0,
    **options: Unpack[LossOptions],
) -> tuple[Tensor, UnbalancedCombination]:
    """``constant + sum_k w_k OT(problem_k)``, differentiable, and its certified combination.

    A relative eps is resolved once, from the first problem, and shared. A tolerance is that of the sum: its terms are
    solved to smaller gaps until it is met.
    """
    if problems[0].reg.is_relative:
        reg = problems[0].detached().resolved().reg
        problems = tuple(problem.with_pairs(problem.pairs.with_reg(reg), problem.a, problem.b) for problem in problems)
    found, interval, status = _solved(weights, problems, solver, constant, options)
    total = constant + sum(w * solution.value64 for w, solution in zip(weights, found, strict=True))
    assert isinstance(total, Tensor)
    value = total.to(problems[0].dtype)
    return value, UnbalancedCombination(value, weights, found, interval, status)


def _solved(
    weights: tuple[float, ...],
    problems: tuple[Unbalanced, ...],
    solver: Solver | None,
    constant: Tensor | float,
    options: LossOptions,
) -> tuple[tuple[UnbalancedSolution, ...], Interval, Status]:
    """The solutions, the interval of the sum, and how the solve of it ended."""
    merged = merged_weights(weights, problems)

    def summed(found: tuple[UnbalancedSolution, ...]) -> Interval:
        interval = combined(merged, [solution.interval for solution in found])
        return Interval(interval.lower + constant, interval.upper + constant, interval.rounding)

    settings = LoopSettings(**options)
    tol = sum_tolerance(settings, solver, problems[0])
    if tol is None:
        found = tuple(solve(problem, solver, **options) for problem in problems)
        statuses = [solution.status for solution in found]
        return found, summed(found), next((status for status in statuses if status.fell_short), statuses[0])
    quiet: dict[str, Any] = {**options, "on_unconverged": OnUnconverged.IGNORE, "tol": tol}
    found = tuple(solve(problem, solver, **quiet) for problem in problems)
    with torch.no_grad():
        for _ in range(_ROUNDS):
            interval = summed(found)
            # A bound that roundoff makes infinite stays so, whatever is asked of the terms.
            known = bool(interval.gap.isfinite().all())
            if bool((interval.rel_gap <= tol).all()) or all(s.status.fell_short for s in found) or not known:
                break
            terms = sum(abs(w) * float(s.upper.abs().max()) for w, s in zip(merged, found, strict=True))
            quiet["tol"] = min(gap_of_terms(interval, terms, _AIM * tol), tol)
            with torch.enable_grad():
                pairs = zip(problems, found, strict=True)
                found = tuple(solve(problem, solver, warm_start=before, **quiet) for problem, before in pairs)
        interval = summed(found)
    if bool((interval.rel_gap <= tol).all()):
        return found, interval, Status.CONVERGED
    status = Status.ROUNDING if bool(interval.rounded.all()) else Status.MAX_STEPS
    typical = min(problem.pairs.median_positive_cost for problem in problems)
    if not (status is Status.ROUNDING and is_nothing(interval, typical)):
        what = f"gap {float(interval.rel_gap.max()):.2g}, wanted {tol:.2g}"
        tell_of_sum(f"{len(weights)} unbalanced values stopped", status, what, settings)
    return found, interval, status


class UnbalancedLoss(nn.Module):
    """The regularised value between measures of any mass: see :class:`Unbalanced`.

    Args:
        rho: the weight of the marginals' penalties in units of the cost, or a pair, one a side; 1 by default.
        cost: the ground cost; squared Euclidean by default.
        reg: KL; at 5 % of the mean cost by default.
        solver: if omitted, chosen by the size.
        options: as for every :class:`TransportLoss`.

    Attributes:
        last: the detached result of the last call, None before the first.
    """

    # Whether it is a divergence, which may be negative for some costs.
    debiases: ClassVar[bool] = False
    last: UnbalancedSolution | UnbalancedCombination | None = None

    def __init__(
        self,
        *,
        rho: Rho = 1.0,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
        solver: Solver | None = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__()
        checks.options(type(self).__name__, options, ["rho", "cost", "reg", "solver", *LossOptions.__annotations__])
        self.cost, self.reg = SqEuclidean() if cost is None else cost, KL() if reg is None else reg
        self.solver, self.options = solver, options
        self.rho = penalties(rho)
        if self.debiases:
            warn_if_negative(self.cost, self.reg)
        if self.debiases and self.rho[0] != self.rho[1]:
            raise InputError(f"a divergence treats both sides alike: rho must be one number, got {self.rho}")

    @override
    @uncompiled
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """The loss.

        Args:
            x: points, ``(n, d)`` or ``(B, n, d)``.
            y: points, ``(m, d)`` or ``(B, m, d)``.
            a: masses of x, ``(n,)`` or ``(B, n)``, of any positive total; ``1 / n`` each if None.
            b: masses of y.

        Returns:
            A scalar, or ``(B,)``; differentiable with respect to points and masses.
        """
        problem = Unbalanced(x, y, a, b, rho=self.rho, cost=self.cost, reg=self.reg)
        solution = solve(problem, self.solver, **self.options)
        self.last = solution.detached()
        return solution.value

    @override
    def extra_repr(self) -> str:
        return f"rho={self.rho}, cost={self.cost}, reg={self.reg}"


class UnbalancedDivergence(UnbalancedLoss):
    """The debiased loss ``OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2 + eps / 2 (m_a - m_b)^2``.

    Sejourne et al. 2019, (24): non-negative for the costs for which the balanced divergence is, and 0 only for equal
    measures. The terms are symmetric; a pair ``rho`` is refused.
    """

    debiases: ClassVar[bool] = True

    @override
    @uncompiled
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        cross = Unbalanced(x, y, a, b, rho=self.rho, cost=self.cost, reg=self.reg)
        problems = debiasing(cross)
        value, self.last = combine_unbalanced(
            (1.0, -0.5, -0.5), problems, self.solver, mass_term(problems[0]), **self.options
        )
        return value


def debiasing(cross: Unbalanced) -> tuple[Unbalanced, Unbalanced, Unbalanced]:
    """The three problems of a divergence, with the eps of the first."""
    if cross.reg.is_relative:
        cross = cross.with_pairs(cross.pairs.with_reg(cross.detached().resolved().reg), cross.a, cross.b)
    left, right = cross.pairs.sides()
    own = (cross.pairs.between(left, left), cross.pairs.between(right, right))
    return cross, cross.with_pairs(own[0], cross.a, cross.a), cross.with_pairs(own[1], cross.b, cross.b)


def mass_term(cross: Unbalanced) -> Tensor:
    """``eps / 2 (m_a - m_b)^2``, float64, differentiable."""
    difference = cross.a.double().sum(-1) - cross.b.double().sum(-1)
    return cross.eps / 2 * difference.square()


def transformed_potentials(
    problem: Callable[..., Unbalanced],
    points: tuple[Tensor, Tensor],
    masses: tuple[Tensor | None, Tensor | None],
    solutions: tuple[UnbalancedSolution, ...],
) -> tuple[Tensor, Tensor]:
    """F and G of a value, debiased if there are three solutions: exact updates, differentiable in their own points.

    Args:
        problem: makes the problem of two clouds and their masses.
        points: x and y.
        masses: of x and of y.
        solutions: of the cross term, and of the two own terms of a divergence.
    """
    (x, y), (a, b) = points, masses

    def updated(rows: Tensor, columns: Tensor, of_rows: Any, of_columns: Any, potential: Tensor) -> Tensor:
        # Of a potential, and of the other cloud, held constant.
        others = None if of_columns is None else of_columns.detach()
        made = problem(rows, columns.detach(), of_rows, others)
        return update_f(made.with_pairs(made.pairs.lifted(), made.a, made.b), potential).to(rows.dtype)

    cross, own = solutions[0].potentials, [solution.potentials for solution in solutions[1:]]
    f, g = updated(x, y, a, b, cross.g), updated(y, x, b, a, cross.f)
    if own:
        f, g = f - updated(x, x, a, a, own[0].g), g - updated(y, y, b, b, own[1].g)
    return f, g
