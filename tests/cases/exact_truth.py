"""The true value of a small discrete problem, to sixty digits and more, in Python's decimal numbers.

The float32 or float64 numbers of points, weights and costs are taken as exact. Without a regulariser the linear
programme is solved in integers (`cases.exact_programme`). With one, Newton's method on the semi-dual is followed down
from a large eps; whatever it finds, the truth lies between the dual value of its potentials and the primal value of a
feasible plan, and `Bracket` holds these two. Nothing here is shared with the package.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from torch import Tensor

from cases.decimal_costs import Rows, Vector, cost_matrix, digits, numbers
from cases.exact_programme import transport
from otgen.ot import KL, Cost, Discrete, NoReg, Regulariser, SmoothRegulariser

ZERO, ONE, HALF = Decimal(0), Decimal(1), Decimal("0.5")
# Digits beyond those that the range of the problem's numbers takes away.
_DIGITS = 60
# What a stage on the way is solved to, and the last one: relative errors of the column sums.
_COARSE, _FINE = Decimal("0.2"), Decimal("1e-36")
# Links of so small a weight keep the Laplacian of a plan with zeros regular.
_FAINT = Decimal("1e-50")


@dataclass(frozen=True)
class Measures:
    """What the caller of `Discrete` gives, to be read by the package and by the truth alike."""

    a: Tensor
    b: Tensor
    reg: Regulariser
    x: Tensor | None = None
    y: Tensor | None = None
    cost: Cost | None = None
    C: Tensor | None = None

    def problem(self, *inputs: Tensor) -> Discrete:
        """Of these tensors, in place of the own points, or of the own costs."""
        if self.C is not None:
            return Discrete.from_matrix(*(inputs or (self.C,)), self.a, self.b, reg=self.reg)
        assert self.x is not None
        assert self.y is not None
        return Discrete(*(inputs or (self.x, self.y)), self.a, self.b, cost=self.cost, reg=self.reg)

    def inputs(self) -> tuple[Tensor, ...]:
        """What the costs depend on."""
        return tuple(t for t in (self.x, self.y, self.C) if t is not None)

    def costs(self) -> Rows:
        """By the definition of the cost."""
        if self.C is not None:
            return [numbers(row) for row in self.C]
        assert self.x is not None
        assert self.y is not None
        return cost_matrix(self.cost, self.x, self.y)

    def weights(self) -> tuple[Vector, Vector]:
        """``w_i / sum w``."""
        (a, b) = (numbers(weight) for weight in (self.a, self.b))
        return [w / sum(a) for w in a], [w / sum(b) for w in b]

    def mean_cost(self) -> float:
        """``sum a b c``."""
        with digits(80):
            costs, (a, b) = self.costs(), self.weights()
            return float(_mean(costs, a, b))


@dataclass(frozen=True)
class Bracket:
    """The true value lies in it.

    Attributes:
        low: dual value.
        high: primal value of a feasible plan; equal to ``low`` for a linear programme.
        plan: a plan with exact rows, zeros included: the optimal one up to ``plan_error``.
        plan_error: bounds ``||plan - optimal plan||_1``; infinite for a linear programme, whose plan may not be unique.
        costs: the costs.
    """

    low: Decimal
    high: Decimal
    plan: Rows
    plan_error: Decimal
    costs: Rows

    @property
    def width(self) -> float:
        """Relative."""
        size = max(abs(self.low), abs(self.high))
        return float((self.high - self.low) / size) if size else 0.0

    def missed_by(self, lower: float, upper: float) -> float:
        """By how much bounds miss it; 0 if they do not."""
        return float(max(Decimal(lower) - self.high, self.low - Decimal(upper), ZERO))


def bracket(given: Measures) -> Bracket:
    """The truth about a problem."""
    with digits(_needed(given)):
        costs, (a, b) = given.costs(), given.weights()
        if isinstance(given.reg, NoReg):
            return _programme(costs, a, b)
        assert isinstance(given.reg, SmoothRegulariser)
        rows, columns = ([i for i, w in enumerate(weight) if w > 0] for weight in (a, b))
        eps = Decimal(given.reg.weight)
        scaled = [[costs[i][j] / eps for j in columns] for i in rows]
        kind: _Kind = _Entropic() if isinstance(given.reg, KL) else _Squared()
        low, high, plan = _solve(kind, scaled, [a[i] for i in rows], [b[j] for j in columns])
        whole = [[ZERO] * len(b) for _ in a]
        for i, row in zip(rows, plan, strict=True):
            for j, mass in zip(columns, row, strict=True):
                whole[i][j] = mass
        # Both penalties are strongly convex in the sense that gives this: see `otgen.ot.discrete.gradient_error`.
        return Bracket(eps * low, eps * high, whole, (2 * (high - low)).sqrt(), costs)


def _needed(given: Measures) -> int:
    with digits(40):
        sizes = [abs(c) for row in given.costs() for c in row]
        eps = Decimal(given.reg.weight) if isinstance(given.reg, SmoothRegulariser) else max(sizes)
        lost = (max(sizes) / eps).adjusted() if eps and max(sizes) else 0
        # The quadratic conjugate squares them.
        lost *= 1 if isinstance(given.reg, KL) else 2
        light = min(w for weight in given.weights() for w in weight if w > 0)
        return _DIGITS + max(lost, 0) + 2 * max(-light.adjusted(), 0)


def _programme(costs: Rows, a: Vector, b: Vector) -> Bracket:
    plan, value = transport(costs, a, b)
    # Only the costs are rounded: in units of themselves, or, if they are one minus a cosine, of one.
    moved = _dot([mass for row in plan for mass in row], [abs(c) for row in costs for c in row])
    slack = ONE.scaleb(12 - decimal.getcontext().prec) * (moved + min(ONE, max(abs(c) for row in costs for c in row)))
    return Bracket(value - slack, value + slack, plan, Decimal("Infinity"), costs)


@dataclass(frozen=True)
class _Transform:
    """The best potential of one row: ``share_j`` is the part of its mass that goes to j, and ``slope_j`` is
    proportional to the part of a change of ``z_j`` that the potential follows."""

    potential: Decimal
    share: Vector
    slope: Vector


class _Kind:
    """A regulariser with eps = 1."""

    def transform(self, z: Vector, w: Vector) -> _Transform:
        raise NotImplementedError

    def dual(self, a: Vector, b: Vector, f: Vector, g: Vector, costs: Rows) -> Decimal:
        raise NotImplementedError

    def penalty(self, mass: Decimal, product: Decimal) -> Decimal:
        """Of an entry of a plan of mass 1."""
        raise NotImplementedError


class _Entropic(_Kind):
    def transform(self, z: Vector, w: Vector) -> _Transform:
        top = max(z)
        parts = [weight * (one - top).exp() for one, weight in zip(z, w, strict=True)]
        total = sum(parts)
        share = [part / total for part in parts]
        return _Transform(-top - total.ln(), share, share)  # type: ignore[union-attr]

    def dual(self, a: Vector, b: Vector, f: Vector, g: Vector, costs: Rows) -> Decimal:
        # Rows are exact, so the plan has mass 1 and the conjugate's mean is 0.
        return _dot(a, f) + _dot(b, g)

    def penalty(self, mass: Decimal, product: Decimal) -> Decimal:
        return mass * (mass / product).ln() if mass > 0 else ZERO


class _Squared(_Kind):
    def transform(self, z: Vector, w: Vector) -> _Transform:
        order = sorted(range(len(z)), key=lambda j: -z[j])
        mass = moment = ZERO
        root = ZERO
        for place, j in enumerate(order):
            mass, moment = mass + w[j], moment + w[j] * z[j]
            root = (1 - moment) / mass
            if place + 1 == len(order) or root + z[order[place + 1]] <= 0:
                break
        excess = [max(root + one, ZERO) for one in z]
        slope = [weight if one > 0 else ZERO for one, weight in zip(excess, w, strict=True)]
        return _Transform(root, [one * weight for one, weight in zip(excess, w, strict=True)], slope)

    def dual(self, a: Vector, b: Vector, f: Vector, g: Vector, costs: Rows) -> Decimal:
        square = [[max(f[i] + g[j] - c, ZERO) ** 2 for j, c in enumerate(row)] for i, row in enumerate(costs)]
        return _dot(a, f) + _dot(b, g) - HALF * _mean(square, a, b)

    def penalty(self, mass: Decimal, product: Decimal) -> Decimal:
        return HALF * mass * mass / product


@dataclass(frozen=True)
class _Point:
    """Potentials of a stage, and what the semi-dual does there; potentials and costs in units of the stage's eps."""

    g: Vector
    rows: Sequence[_Transform]
    lacking: Vector

    @property
    def f(self) -> Vector:
        return [row.potential for row in self.rows]


class _Stage:
    """The semi-dual of g with costs in units of eps; f is eliminated."""

    def __init__(self, kind: _Kind, costs: Rows, a: Vector, b: Vector) -> None:
        self.kind, self.costs, self.a, self.b = kind, costs, a, b

    def at(self, g: Vector) -> _Point:
        rows = [self.kind.transform([one - c for one, c in zip(g, row, strict=True)], self.b) for row in self.costs]
        lacking = [b - sum(a * row.share[j] for a, row in zip(self.a, rows, strict=True)) for j, b in enumerate(self.b)]
        return _Point(g, rows, lacking)

    def swept(self, point: _Point) -> _Point:
        """After the best g for this f."""
        f, columns = point.f, range(len(self.b))
        best = [
            self.kind.transform([one - row[j] for one, row in zip(f, self.costs, strict=True)], self.a) for j in columns
        ]
        return self.at([one.potential for one in best])

    def error(self, point: _Point) -> Decimal:
        return max(abs(one) / b for one, b in zip(point.lacking, self.b, strict=True))

    def direction(self, point: _Point) -> Vector:
        """Newton's. The Hessian is the Laplacian of a graph of the columns."""
        m = len(self.b)
        links = [[_FAINT * self.b[j] * self.b[k] for k in range(m)] for j in range(m)]
        for weight, row in zip(self.a, point.rows, strict=True):
            total = sum(row.slope)
            for j in range(m):
                for k in range(m):
                    links[j][k] += weight * row.slope[j] * row.slope[k] / total
        return _laplacian_solved(links, point.lacking)

    def searched(self, point: _Point) -> _Point:
        """Along Newton's direction to where the semi-dual has lost most of its slope."""
        direction = self.direction(point)
        reach = max(direction) - min(direction)
        start = _dot(direction, point.lacking)
        if not reach or start <= 0:
            return point

        def along(t: Decimal) -> _Point:
            return self.at([g + t * d for g, d in zip(point.g, direction, strict=True)])

        return _risen(along, lambda there: _dot(direction, there.lacking) / start, min(ONE, 20 / reach), reach)


def _risen(
    along: Callable[[Decimal], _Point], slope: Callable[[_Point], Decimal], t: Decimal, reach: Decimal
) -> _Point:
    """A step at which the slope, 1 at zero and falling, is small; never beyond the top by much."""
    low, high = ZERO, None
    best, limit = along(t), Decimal("0.3")
    for _ in range(200):
        here = slope(best)
        if abs(here) <= limit or (high is not None and (high - low) * reach < Decimal("1e-40")):
            break
        low, high = (t, high) if here > 0 else (low, t)
        if high is None:
            t *= 4
        else:
            # Geometric where the ends are of different size.
            t = (low + high) / 2 if low * 16 > high else max(high / 16, low * 4 if low else high / 16)
        best = along(t)
    return best


def _laplacian_solved(links: Rows, lacking: Vector) -> Vector:
    """``x`` with ``sum_k links_jk (x_j - x_k) = lacking_j``, without any subtraction of links; x of the first is 0."""
    m = len(lacking)
    links, right = [list(row) for row in links], list(lacking)
    totals = [ZERO] * m
    for last in range(m - 1, 0, -1):
        totals[last] = sum(links[last][:last], ZERO)
        for j in range(last):
            part = links[j][last] / totals[last]
            right[j] += part * right[last]
            for k in range(last):
                links[j][k] += part * links[last][k]
    solved = [ZERO] * m
    for j in range(1, m):
        solved[j] = (right[j] + _dot(links[j][:j], solved[:j])) / totals[j]
    return solved


def _solve(kind: _Kind, costs: Rows, a: Vector, b: Vector) -> tuple[Decimal, Decimal, Rows]:
    """Low, high and a plan; eps is 1."""
    flat = [c for row in costs for c in row]
    heat = max(max(flat) - min(flat), ONE)
    g = [ZERO] * len(b)
    while True:
        stage = _Stage(kind, [[c / heat for c in row] for row in costs], a, b)
        point = _climbed(stage, [one / heat for one in g], _FINE if heat == 1 else _COARSE)
        if heat == 1:
            break
        g = [one * heat for one in point.g]
        heat = max(heat / 8, ONE)
    return _bounds(stage, point)


def _climbed(stage: _Stage, g: Vector, goal: Decimal) -> _Point:
    point = stage.at(g)
    best, error = point, stage.error(point)
    stuck = 0
    for _ in range(200):
        if error <= goal or stuck > 8:
            break
        point = stage.searched(point)
        if stage.error(point) > goal:
            point = stage.swept(point)
        found = stage.error(point)
        stuck = 0 if found < error / 2 else stuck + 1
        if found < error:
            best, error = point, found
    return best


def _bounds(stage: _Stage, point: _Point) -> tuple[Decimal, Decimal, Rows]:
    a, b, costs = stage.a, stage.b, stage.costs
    low = stage.kind.dual(a, b, point.f, point.g, costs)
    plan = [[weight * share for share in row.share] for weight, row in zip(a, point.rows, strict=True)]
    coupling = _rounded(plan, a, b)
    high = ZERO
    for i, row in enumerate(coupling):
        for j, mass in enumerate(row):
            high += mass * costs[i][j] + stage.kind.penalty(mass, a[i] * b[j])
    size = max(abs(c) for row in costs for c in row) + max(map(abs, point.f)) + max(map(abs, point.g)) + 1000
    slack = ONE.scaleb(10 - decimal.getcontext().prec) * size * (ONE if isinstance(stage.kind, _Entropic) else size)
    return low - slack, high + slack, plan


def _rounded(plan: Rows, a: Vector, b: Vector) -> Rows:
    """A coupling near a plan with exact rows: columns are cut to size, what is missing is put back as a product."""
    sums = [sum((row[j] for row in plan), ZERO) for j in range(len(b))]
    cut = [min(mass / total, ONE) if total else ONE for mass, total in zip(b, sums, strict=True)]
    kept = [[mass * part for mass, part in zip(row, cut, strict=True)] for row in plan]
    rows = [sum((mass * (1 - part) for mass, part in zip(row, cut, strict=True)), ZERO) for row in plan]
    columns = [max(mass - total, ZERO) for mass, total in zip(b, sums, strict=True)]
    total = sum(columns, ZERO)
    if not total:
        return kept
    return [
        [mass + r * c / total for mass, c in zip(row, columns, strict=True)] for row, r in zip(kept, rows, strict=True)
    ]


def _dot(one: Sequence[Decimal], other: Sequence[Decimal]) -> Decimal:
    return sum((x * y for x, y in zip(one, other, strict=True)), ZERO)


def _mean(values: Rows, a: Vector, b: Vector) -> Decimal:
    return _dot(a, [_dot(row, b) for row in values])


def as_numbers(values: Any) -> Any:
    """Floats, rounded."""
    return [as_numbers(one) if isinstance(one, list) else float(one) for one in values]
