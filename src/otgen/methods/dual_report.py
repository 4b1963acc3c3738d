"""How far the gradient of a generator step may be from that of the optimal plan, on the batch at hand."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from otgen.methods.duals import Clouds, DualProblem, DualState
from otgen.ot import KL, Discrete, Potentials, solve
from otgen.ot.guard import pair_sums
from otgen.ot.pseudo_plan import pseudo_plan

# How exactly the batch is solved: its own gap is part of the bound.
_GAP, _STEPS = 1e-6, 2000


@dataclass(frozen=True)
class DualReport:
    """What potentials are worth on one batch, a transport problem of its own; gradients are those by its points.

    Attributes:
        value: d, the batch's regularised value.
        linear: d-bar, the transport cost of its optimal plan.
        dual_gap: ``d`` less the dual value of the potentials: the epsilon of the paper's "epsilon-accurate".
        marginal_error: of the pseudo-plan, both sides.
        gradient_norm: of d by the generated points.
        gradient_error: distance of the pseudo-plan's gradient from it.
        gradient_error_bound: what Theorem 4.1 says of that distance, from ``dual_gap`` alone.
    """

    value: float
    linear: float
    dual_gap: float
    marginal_error: float
    gradient_norm: float
    gradient_error: float
    gradient_error_bound: float

    def values(self) -> dict[str, float]:
        """As they are logged."""
        return asdict(self)


@torch.no_grad()
def dual_report(duals: DualState, problem: DualProblem, clouds: Clouds) -> DualReport:
    """Solve the batch exactly, from the potentials, and compare.

    Args:
        duals: the potentials.
        problem: what they solve.
        clouds: generated samples and data, ``(n, ...)`` and ``(m, ...)``.
    """
    x, y = (cloud.flatten(1).double() for cloud in clouds)
    discrete = Discrete(x, y, cost=problem.cost, reg=problem.reg)
    f, g = (vector.double() for vector in duals.values(*clouds))
    exact = solve(discrete, tol=_GAP, max_steps=_STEPS, warm_start=Potentials(f, g), on_unconverged="ignore")
    seen = pseudo_plan(discrete, Potentials(f, g))
    gap = max(float(exact.upper) - seen.lower, 0.0)
    density = problem.reg.density(pair_sums(f, g, discrete.matrix))
    plan, held = density / density.numel(), exact.plan().double()
    optimal, _ = problem.cost.vjp(x, y, held)
    error, _ = problem.cost.vjp(x, y, plan - held)
    return DualReport(
        value=float(exact.value),
        linear=float(exact.value_linear),
        dual_gap=gap,
        marginal_error=seen.marginal_error,
        gradient_norm=float(torch.linalg.vector_norm(optimal)),
        gradient_error=float(torch.linalg.vector_norm(error)),
        gradient_error_bound=_bound(problem, gap, seen.mass, x, y),
    )


def _bound(problem: DualProblem, gap: float, mass: float, x: Tensor, y: Tensor) -> float:
    """Sanjabi et al. 2018, Theorem 4.1, with its constants, for the gradient by the points."""
    slopes, share = problem.cost.grad_norm(x, y), gap / problem.reg.weight
    if isinstance(problem.reg, KL):
        # ||pi - pi*||_1 <= sqrt(gap / eps) (1 + sqrt(mass)), and no row's gradient is longer than that of its points
        return float(slopes.max()) * math.sqrt(share) * (1 + math.sqrt(mass))
    # mean_ij (m - m*)^2 <= 2 gap / eps, and Cauchy-Schwarz within each row, whose weight is 1 / n
    steepest = slopes.square().mean(1).max() / len(x)
    return math.sqrt(2 * share * float(steepest))
