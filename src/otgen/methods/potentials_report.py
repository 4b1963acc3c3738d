r"""The gradient error of a generator step: its distance from the optimal plan's gradient, on one batch.

The bound on it uses the plan of the potentials and the gap, never the optimal plan. Write
``v_ij = grad_x c(x_i, y_j)``, ``e_i`` for the error of row i, ``kappa = gap / eps`` and ``*`` for the optimal plan,
whose marginals are exact.

The optimal plan is a coupling. So, whatever the gap, ``|e_i| <= t_i = max_j |G_i - v_ij / n|``, with ``G_i`` row i of
the gradient in use.

Quadratic, with densities m = relu(s) / eps and ``delta = m - m*``. With exact marginals the gap is
``mean_ij(eps / 2 delta^2 + relu(-s) m*)``: pairs with s < 0 contribute to both terms. Let D_ij bound ``m*_ij``: the
minimum of n, m and the density at which this pair alone would use up the whole gap. Then
``sum_ij w delta^2 <= 2 n m kappa`` with ``w = 1`` where s >= 0 and ``1 + 2 |s| / (eps D)`` elsewhere. The sums of
delta over rows and columns are known, R and C. So for any alpha and beta, with
``delta0 = (alpha_i + beta_j) / w_ij`` and ``delta' = delta - delta0``,

    sum w delta'^2 = sum w delta^2 - 2 <alpha, R> - 2 <beta, C> + sum (alpha_i + beta_j)^2 / w,

which is smallest when (alpha, beta) is the Newton step towards the marginals. Hence ``e_i`` equals a computable vector
plus the unknown term ``sum_j delta'_ij (v_ij - c_i) / (n m)``, for any ``c_i``. By Cauchy-Schwarz the square of that
term is at most ``lambda_i / (n m)^2`` times the row's part of the sum above, with ``lambda_i`` the largest eigenvalue
of ``sum_j (v_ij - c_i)(v_ij - c_i)^T / w_ij``.

KL, with plans p* and p and ``a = 1 / n``. The identity ``kappa = sum p* log(p* / p) - p* + p`` splits by rows into a
part known from the row sums, ``a log(a / row) - a + row``, and ``a KL`` of the conditional laws. So
``e_i = (row_i - a) c_i + a r_i`` with ``c_i`` the mean of v under the conditional law of row i, and ``r_i`` the
difference of two means. With V the largest eigenvalue of that law's covariance and ``R = max_j |v_ij - c_i|``,
``|r_i|^2`` is at most ``KL (2 R^2 + 4 V) / 3`` (Pinsker's inequality, sharpened) and at most
``(sqrt(2 V KL) + R KL / 3)^2`` (Bernstein's inequality in its transport form).

In both cases ``|e_i| <= |known_i| + sqrt(C_i k_i)`` with a bound on ``sum_i k_i``, and ``|e_i| <= t_i``. The worst
division of this budget among the rows solves a fractional knapsack problem.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.methods.neural_potentials import Clouds, DualProblem, DualState
from otgen.ot import KL, Cost, Discrete, Potentials, solve
from otgen.ot.continuous.capped_conjugate import CappedConjugate, pair_sums
from otgen.ot.discrete.pseudo_plan import PseudoPlan

# How exactly the batch is solved: the remaining gap and the remaining gradient error enter the bound.
_GAP, _STEPS = 1e-9, 2000
# Most numbers that the gradients of a block of rows hold, and most multiplications spent on eigenvalues.
_HELD, _WORK = 1 << 22, 2e10
# Bound on the roundoff error of a sum, relative to its terms.
_SLACK = 1e-12


@dataclass(frozen=True)
class PotentialsReport:
    """Accuracy of the potentials on one batch, seen as a discrete OT problem.

    Gradients are with respect to the generated points.

    Attributes:
        value: d, the batch's regularised value.
        linear: d-bar, the transport cost of its optimal plan.
        dual_gap: ``d`` minus the dual value of the potentials: the epsilon of the paper's "epsilon-accurate".
        marginal_error: marginal error of the pseudo-plan, summed over both sides.
        gradient_norm: norm of the gradient of d.
        gradient_error: distance between the pseudo-plan's gradient and the gradient of d.
        gradient_error_bound: bound on that distance from ``dual_gap`` and the pseudo-plan alone: Theorem 4.1 of
            Sanjabi et al. 2018, sharpened row by row, and never above the bound that holds for any coupling.
    """

    value: float
    linear: float
    dual_gap: float
    marginal_error: float
    gradient_norm: float
    gradient_error: float
    gradient_error_bound: float


@torch.no_grad()
def potentials_report(
    duals: DualState, problem: DualProblem, clouds: Clouds, conjugate: CappedConjugate
) -> PotentialsReport:
    """Solve the batch exactly, warm-started from the potentials, and compare.

    Args:
        duals: the potentials.
        problem: the transport problem that they solve.
        clouds: generated samples and data.
        conjugate: defines the cap on the density in the generator's gradient.
    """
    x, y = (cloud.points.flatten(1).double() for cloud in clouds)
    discrete = Discrete(x, y, cost=problem.cost, reg=problem.reg)
    at = Potentials(*(vector.double() for vector in duals.values(*(cloud.inputs for cloud in clouds))))
    exact = solve(discrete, tol=_GAP, max_steps=_STEPS, warm_start=at, on_unconverged="ignore")
    plan = PseudoPlan.of(discrete, at)
    gap = max(float(exact.upper) - plan.lower, 0.0)
    s = pair_sums(at.f, at.g, discrete.matrix)
    capped, optimal = conjugate.density(s) / s.numel(), exact.plan().double()
    own = exact.grad_error_bound.x
    assert own is not None
    return PotentialsReport(
        value=float(exact.value),
        linear=float(exact.value_linear),
        dual_gap=gap,
        marginal_error=plan.marginal_error,
        gradient_norm=_norm(problem.cost.vjp(x, y, optimal)[0]),
        gradient_error=_norm(problem.cost.vjp(x, y, capped - optimal)[0]),
        gradient_error_bound=_capped_bound(problem, gap, s, capped, (x, y)) + own,
    )


def _norm(gradient: Tensor) -> float:
    return float(torch.linalg.vector_norm(gradient))


def _capped_bound(problem: DualProblem, gap: float, s: Tensor, capped: Tensor, clouds: tuple[Tensor, Tensor]) -> float:
    """Bound for the capped plan: the uncapped plan's bound plus the distance between the two gradients."""
    (x, y), eps, bound = clouds, problem.reg.weight, math.inf
    plain = problem.reg.density(s) / s.numel()
    if math.isfinite(gap / eps) and bool(plain.isfinite().all()):
        rows = _entropic if isinstance(problem.reg, KL) else _quadratic
        bound = rows(problem.cost, s / eps, gap / eps, x, y) + _norm(problem.cost.vjp(x, y, plain - capped)[0])
    bounds = (_farthest(problem.cost, problem.cost.vjp(x, y, capped)[0], x, y), bound)
    # A bound that is NaN is none; without any, the error is unbounded.
    return min((bound for bound in bounds if not math.isnan(bound)), default=math.inf)


def _farthest(cost: Cost, gradient: Tensor, x: Tensor, y: Tensor) -> float:
    """Bound on the distance between a gradient and the gradient of any coupling."""
    blocks = zip(*(torch.split(rows, max(1, _HELD // y.numel())) for rows in (gradient, x)), strict=True)
    errors = (_off(rows, _slopes(cost, points, y), 1 / len(x)) for rows, points in blocks)
    return math.sqrt(sum(float(error.square().sum()) for error in errors)) * (1 + _SLACK)


def _off(gradient: Tensor, slopes: Tensor, a: float) -> Tensor:
    """Bound on the distance of rows of a gradient, ``(r, d)``, from those of any coupling with row sums ``a``."""
    distances: Tensor = torch.linalg.vector_norm(gradient.unsqueeze(-2) - a * slopes, dim=-1)
    return distances.amax(-1)


def _worst(known: Tensor, slope: Tensor, most: Tensor, budget: float) -> float:
    """Maximise ``sqrt(sum_i |e_i|^2)`` given ``|e_i| <= |known_i| + sqrt(slope_i k_i)`` and ``|e_i| <= most_i``.

    ``budget`` bounds ``sum_i k_i``; ``known`` is ``(n, d)``, ``slope`` and ``most`` are ``(n,)``. In terms of
    squares, ``|e_i|^2 <= min(most^2, (1 + t) |known|^2 + (1 + 1 / t) slope k)`` for each t > 0. This is concave in k,
    so the budget is spent on the steepest rows first, on each until its error reaches ``most``.
    """
    order = torch.argsort(slope, descending=True)
    slope, most = slope[order], most[order].square()
    known = known[order].square().sum(-1)
    shares = torch.logspace(-4, 4, 33, dtype=slope.dtype, device=slope.device).unsqueeze(-1)
    start = torch.minimum((1 + shares) * known, most)
    rates = (1 + 1 / shares) * slope
    wanted = (most - start) / rates.clamp(min=torch.finfo(rates.dtype).tiny)
    left = budget - (wanted.cumsum(-1) - wanted)
    spent = torch.minimum(left.clamp(min=0), wanted)
    squares = (start + rates * spent).sum(-1)
    # Allow for cancellation: a difference of gradients carries roundoff of up to `_SLACK` times `most`.
    return math.sqrt(float(squares.min())) + _SLACK * _norm(most.sqrt())


def _entropic(cost: Cost, s: Tensor, share: float, x: Tensor, y: Tensor) -> float:
    """The bound for KL; ``s`` and ``share``, the gap, are in units of eps."""
    n, m = s.shape
    law, logs = s.softmax(-1), s.logsumexp(-1) - math.log(n * m)
    rows, a = logs.exp(), 1 / n
    told = (a * (-math.log(n) - logs) - a + rows).clamp(min=0)
    budget = max(share - float(told.sum()), 0.0) + _SLACK * (share + float(told.sum()))
    known, slope, most = [], [], []
    for part, slopes, centre, width, spread in _moments(cost, x, y, law):
        row = rows[part]
        pinsker = a * (2 * width.square() + 4 * spread) / 3
        # Bernstein's bound is replaced by one on the square that is linear in k, valid up to sqrt(k) = reach, where
        # the bound attains a * width, the largest error of the row's mean.
        deviation = (2 * a * spread).sqrt()
        steep = deviation + (deviation.square() + 4 * a * width.square() / 3).sqrt()
        # Both are 0 where all of a row's slopes are equal; then its mean has no error.
        reach = torch.where((width == 0) & (steep == 0), 0.0, 2 * a * width / steep).clamp(max=math.sqrt(budget))
        bernstein = (deviation + width * reach / 3).square()
        known.append((row - a).unsqueeze(-1) * centre)
        slope.append(torch.minimum(pinsker, bernstein))
        most.append(_off(row.unsqueeze(-1) * centre, slopes, a))
    return _worst(torch.cat(known), torch.cat(slope), torch.cat(most), budget)


def _quadratic(cost: Cost, s: Tensor, share: float, x: Tensor, y: Tensor) -> float:
    """The bound for Quadratic; ``s`` and ``share``, the gap, are in units of eps."""
    n, m = s.shape
    density, below, pairs = s.clamp(min=0), (-s).clamp(min=0), n * m
    # D: the larger root of D^2 / 2 + |s| D = n m share, in the form without cancellation; then 1 / w.
    most_mass = 2 * pairs * share / (below + (below.square() + 2 * pairs * share).sqrt()).clamp(min=1e-300)
    most_mass = most_mass.clamp(max=min(n, m))
    inverse = torch.where(below > 0, most_mass / (most_mass + 2 * below), 1.0)
    excess = density.sum(1) - m, density.sum(0) - n
    shift, budget = _newton(inverse, *excess, 2 * pairs * share)
    left = excess[0] - shift.sum(1)
    known, slope, most = [], [], []
    for part, slopes, centre, _, spread in _moments(cost, x, y, inverse):
        gradient, moved = (torch.einsum("ij,ijk->ik", w[part], slopes) / pairs for w in (density, shift))
        known.append(moved + left[part].unsqueeze(-1) * centre / pairs)
        slope.append(spread / pairs**2)
        most.append(_off(gradient, slopes, 1 / n))
    return _worst(torch.cat(known), torch.cat(slope), torch.cat(most), budget)


def _newton(inverse: Tensor, rows: Tensor, columns: Tensor, budget: float) -> tuple[Tensor, float]:
    """``delta0``, ``(n, m)``, whose sums are the known ones, and the resulting bound on ``sum w delta'^2``.

    The system is singular (a constant can be shifted from alpha to beta). Since any alpha and beta give a valid bound,
    a small ridge removes the singularity.
    """
    upper, lower = (inverse.sum(1).diag(), inverse), (inverse.mT, inverse.sum(0).diag())
    matrix = torch.cat([torch.cat(upper, dim=1), torch.cat(lower, dim=1)])
    matrix.diagonal().add_(1e-10 * matrix.diagonal().mean() + 1e-300)
    sums = torch.cat([rows, columns])
    dual = torch.linalg.solve_ex(matrix, sums)[0]
    multipliers = dual[: len(rows)].unsqueeze(-1) + dual[len(rows) :]
    shift = multipliers * inverse
    own = float((multipliers * shift).sum())
    rounding = _SLACK * (budget + 2 * float((dual * sums).abs().sum()) + own)
    reduced = max(budget - 2 * float(dual @ sums) + own, 0.0) + rounding
    if not reduced <= budget:
        return torch.zeros_like(inverse), budget
    return shift, reduced


def _moments(
    cost: Cost, x: Tensor, y: Tensor, weights: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor]]:
    """Moments of the cost's gradients v with respect to x, ``(n, m, d)``, under nonnegative weights of the pairs.

    Computed in blocks of r rows. Yields, for each block, its slice; v, ``(r, m, d)``; the mean of v, ``(r, d)``; the
    largest distance ``max_j |v_ij - mean_i|``, ``(r,)``; and an upper bound on the largest eigenvalue of
    ``sum_j weight (v - mean)(v - mean)^T``, ``(r,)``.
    """
    (n, m), d = weights.shape, x.shape[1]
    for start in range(0, n, step := max(1, _HELD // (m * d))):
        part = slice(start, start + step)
        slopes, weight = _slopes(cost, x[part], y), weights[part].unsqueeze(-1)
        centre = (weight * slopes).sum(1) / weight.sum(1).clamp(min=1e-300)
        away = slopes - centre.unsqueeze(1)
        largest = torch.linalg.vector_norm(away, dim=-1).amax(-1)
        away = away * weight.sqrt()
        spread = away.square().sum((1, 2))
        if n * m * d * min(m, d) <= _WORK:
            spread = _largest_eigenvalue(away @ away.mT if m < d else away.mT @ away, spread)
        yield part, slopes, centre, largest, spread


def _slopes(cost: Cost, x: Tensor, y: Tensor) -> Tensor:
    """``d c(x_i, y_j) / d x_i``, ``(n, m, d)``."""
    with torch.enable_grad():
        points = x.detach().unsqueeze(1).repeat(1, len(y), 1).requires_grad_()
        total = cost.paired(points, y.detach()).sum()
    (gradient,) = torch.autograd.grad(total, points)
    return gradient


def _largest_eigenvalue(gram: Tensor, trace: Tensor) -> Tensor:
    """Upper bound on the largest eigenvalue of positive semidefinite matrices A, ``(r, k, k)``.

    It is ``tr(A^32)^(1/32)``, at most a factor ``k^(1/32)`` too large.
    """
    power = gram / trace.clamp(min=torch.finfo(trace.dtype).tiny).reshape(-1, 1, 1)
    for _ in range(4):
        power = power @ power
    largest: Tensor = trace * torch.linalg.vector_norm(power, dim=(-2, -1)) ** (1 / 16) * (1 + _SLACK)
    return largest
