"""The transport problem as a linear programme in integers: the simplex method on a spanning tree, by Bland's rule."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from cases.decimal_costs import Rows, Vector

Cell = tuple[int, int]


def transport(costs: Rows, a: Vector, b: Vector) -> tuple[Rows, Decimal]:
    """An optimal plan and its cost, exact for the given weights, whose sums may differ by a rounding."""
    exact = [[Fraction(c) for c in row] for row in costs]
    left, right = [Fraction(w) for w in a], [Fraction(w) for w in b]
    left, right = [w / sum(left) for w in left], [w / sum(right) for w in right]
    flows = _corner(left, right)
    while True:
        f, g = _potentials(flows, exact)
        entering = _entering(flows, exact, f, g)
        if entering is None:
            break
        _pivot(flows, entering)
    assert all(flow >= 0 for flow in flows.values())
    value = sum((flow * exact[i][j] for (i, j), flow in flows.items()), Fraction(0))
    assert value == sum(p * q for p, q in zip(left, f, strict=True)) + sum(p * q for p, q in zip(right, g, strict=True))
    plan = [[Decimal(0)] * len(b) for _ in a]
    for (i, j), flow in flows.items():
        plan[i][j] = _decimal(flow)
    return plan, _decimal(value)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _corner(a: list[Fraction], b: list[Fraction]) -> dict[Cell, Fraction]:
    """The north-west corner's plan: n + m - 1 cells that form a tree, some possibly without flow."""
    i = j = 0
    left, right, flows = list(a), list(b), {}
    while True:
        flow = min(left[i], right[j])
        flows[i, j] = flow
        left[i], right[j] = left[i] - flow, right[j] - flow
        if i + 1 == len(a) and j + 1 == len(b):
            return flows
        if j + 1 == len(b) or (i + 1 < len(a) and left[i] == 0):
            i += 1
        else:
            j += 1


def _potentials(flows: dict[Cell, Fraction], costs: list[list[Fraction]]) -> tuple[list[Fraction], list[Fraction]]:
    f: dict[int, Fraction] = {0: Fraction(0)}
    g: dict[int, Fraction] = {}
    while len(f) + len(g) < len(costs) + len(costs[0]):
        for i, j in flows:
            if i in f and j not in g:
                g[j] = costs[i][j] - f[i]
            elif j in g and i not in f:
                f[i] = costs[i][j] - g[j]
    return [f[i] for i in range(len(costs))], [g[j] for j in range(len(costs[0]))]


def _entering(
    flows: dict[Cell, Fraction], costs: list[list[Fraction]], f: list[Fraction], g: list[Fraction]
) -> Cell | None:
    """The first cell whose cost is below its potentials: with the first leaving one, it never runs in circles."""
    for i, row in enumerate(costs):
        for j, c in enumerate(row):
            if (i, j) not in flows and f[i] + g[j] > c:
                return i, j
    return None


def _pivot(flows: dict[Cell, Fraction], entering: Cell) -> None:
    circle = _path(set(flows), entering)
    giving = circle[::2]
    amount = min(flows[cell] for cell in giving)
    leaving = min(cell for cell in giving if flows[cell] == amount)
    for place, cell in enumerate(circle):
        flows[cell] += amount if place % 2 else -amount
    del flows[leaving]
    flows[entering] = amount


def _path(tree: set[Cell], entering: Cell) -> list[Cell]:
    """The cells of the tree between the row and the column of a cell, the row's first."""

    def walk(node: tuple[str, int], seen: frozenset[Cell]) -> list[Cell] | None:
        if node == ("column", entering[1]):
            return []
        side, number = node
        for cell in tree - seen:
            if cell[0 if side == "row" else 1] != number:
                continue
            following = ("column", cell[1]) if side == "row" else ("row", cell[0])
            rest = walk(following, seen | {cell})
            if rest is not None:
                return [cell, *rest]
        return None

    found = walk(("row", entering[0]), frozenset())
    assert found is not None
    return found
