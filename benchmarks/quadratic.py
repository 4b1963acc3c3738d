"""Quadratic regularisation to a certified relative gap of 1e-6, against POT's L2 solver.

POT minimises ``<P, C> + gamma / 2 |P|^2``, we ``<P, C> + eps / 2 sum P_ij^2 / (a_i b_j)``: with uniform weights
``gamma = n m eps``, and the potentials are the same. POT knows no certificate: what is timed is the least number
of its iterations whose potentials pass ours, which no user of it could know. Our time includes the cost matrix and the
certificates; POT's is given without either, and with one certificate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import problem
from benchmarks.report import Settings, Table
from benchmarks.timing import Call, interleaved
from otgen.ot import Discrete, DualAscent, Newton, Potentials, Quadratic, Solution, Solver, solve

TOL = 1e-6
# Of eps, in mean costs.
FACTORS = (1.0, 0.1, 0.01)
SIZE, TINY = 1000, 30
DIMENSIONS = (2, 64)
# Iterations at which POT is given up.
MOST = 400
SOLVERS: tuple[Solver, ...] = (Newton(), DualAscent())


def main(settings: Settings) -> Table:
    """The table."""
    n = TINY if settings.tiny else SIZE
    table = Table(
        "quadratic",
        f"Quadratic regularisation to a relative gap of {TOL:g}, n = m = {n}, squared distances, float32: medians. "
        "Ours includes costs and certificates; POT is given the costs, and the fewest iterations that reach the gap",
        ("d", "eps / mean cost", "solver", "iterations", "ms", "Newton / this", "value"),
    )
    for d in DIMENSIONS[:1] if settings.tiny else DIMENSIONS:
        for factor in FACTORS:
            _measure(n, d, factor, settings.seconds, table)
    return table


def _measure(n: int, d: int, factor: float, seconds: float, table: Table) -> None:
    x, y = problem(n, d, seed=n)
    eps = factor * Discrete(x, y).mean_cost
    calls: dict[str, Call] = {}
    iterations: dict[str, int] = {}
    for solver in SOLVERS:
        name = f"otgen, {type(solver).__name__}"
        iterations[name] = _ours(x, y, eps, solver).steps
        calls[name] = lambda solver=solver: float(_ours(x, y, eps, solver).value)  # type: ignore[misc]
    least = least_iterations(x, y, eps)
    if least is None:
        table.add(d, factor, "POT, L2", f"> {MOST}", "", "", "")
    else:
        calls["POT, L2"] = _pot(x, y, eps, least)
        calls["POT, L2, certified"] = lambda: float(_certified(x, y, eps, least).lower)
        iterations |= {"POT, L2": least, "POT, L2, certified": least}
    values = {name: call() for name, call in calls.items()}
    times = interleaved(calls, seconds=seconds)
    for name, ms in times.items():
        table.add(d, factor, name, iterations[name], ms, times["otgen, Newton"] / ms, f"{values[name]:.7f}")


def _ours(x: Tensor, y: Tensor, eps: float, solver: Solver) -> Solution:
    every = 1 if isinstance(solver, Newton) else 5
    regularised = Discrete(x, y, reg=Quadratic(eps=eps))
    return solve(regularised, solver, tol=TOL, check_every=every, on_unconverged="raise")


def _pot(x: Tensor, y: Tensor, eps: float, iterations: int) -> Call:
    n, m = len(x), len(y)
    costs = _costs(x, y)

    def call() -> float:
        plan, _ = smooth(costs, eps, iterations)
        # What POT itself reports as the value is not this objective.
        return float((plan * costs).sum() + n * m * eps / 2 * (plan**2).sum())

    return call


def _certified(x: Tensor, y: Tensor, eps: float, iterations: int) -> Solution:
    """POT's potentials after so many iterations, with our certificate; its bounds are read by the caller."""
    _, log = smooth(_costs(x, y), eps, iterations)
    potentials = Potentials(torch.as_tensor(log["alpha"]), torch.as_tensor(log["beta"]))
    return Solution(Discrete(x, y, reg=Quadratic(eps=eps)), torch.zeros(()), potentials)


def least_iterations(x: Tensor, y: Tensor, eps: float, tol: float = TOL) -> int | None:
    """The fewest iterations of POT whose potentials have a gap of at most ``tol``."""
    return next((k for k in range(1, MOST) if float(_certified(x, y, eps, k).rel_gap) <= tol), None)


def _costs(x: Tensor, y: Tensor) -> np.ndarray[Any, Any]:
    # In float64, in which POT computes anyway.
    costs: np.ndarray[Any, Any] = Discrete(x, y).matrix.double().numpy()
    return costs


def smooth(costs: np.ndarray[Any, Any], eps: float, iterations: int) -> Any:
    """POT's plan after so many iterations, and its log."""
    import ot

    n, m = costs.shape
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    # Its own test, which is on other numbers, is switched off.
    return ot.smooth.smooth_ot_dual(a, b, costs, n * m * eps, stopThr=1e-300, numItermax=iterations, log=True)
