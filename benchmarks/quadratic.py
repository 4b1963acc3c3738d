"""Quadratic regularisation to a certified relative gap of 1e-6, against POT's L2 solver, all in one run.

POT minimises ``<P, C> + gamma / 2 |P|^2``, we ``<P, C> + eps / 2 sum P_ij^2 / (a_i b_j)``: with uniform weights
``gamma = n m eps``, and the potentials are the same. POT knows no certificate: what is timed is the least number
of its iterations whose potentials pass ours, which no user of it could know. Our time includes the cost matrix and the
certificates; POT's is given without either, and with one certificate.
"""

from __future__ import annotations

import argparse
import json
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import problem
from benchmarks.timing import Call, interleaved
from otgen.ot import Discrete, DualAscent, Newton, Potentials, Quadratic, Solution, Solver, solve
from otgen.train.rundir import environment

TOL, FACTORS = 1e-6, (1.0, 0.1, 0.01)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 64])
    parser.add_argument("--seconds", type=float, default=2.0, help="timing of each solver on each problem")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"n = m = {arguments.size}, float32, |x - y|^2, relative gap {TOL:.0e}, {torch.get_num_threads()} threads")
    print("medians in milliseconds\n")
    rows = [measure(arguments.size, d, r, arguments.seconds) for d in arguments.dimensions for r in FACTORS]
    record = {"rows": rows, "environment": environment(), "peers": {"POT": metadata.version("POT")}}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "quadratic.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nKept in {file}")


def measure(n: int, d: int, factor: float, seconds: float) -> dict[str, object]:
    x, y = problem(n, d, seed=n)
    eps = factor * Discrete(x, y).mean_cost
    calls: dict[str, Call] = {f"otgen, {type(s).__name__}": ours(x, y, eps, s) for s in (Newton(), DualAscent())}
    iterations = least_iterations(x, y, eps)
    if iterations is None:
        print(f"d = {d}, eps = {factor} mean cost: POT reaches no gap of {TOL:.0e}")
    else:
        calls["POT, L2"] = pot(x, y, eps, iterations)
        calls["POT, L2, certified"] = lambda: certified(x, y, eps, pot_potentials(x, y, eps, iterations))
    values = {name: call() for name, call in calls.items()}
    times = interleaved(calls, seconds=seconds)
    print(f"d = {d}, eps = {factor} mean cost; POT with {iterations} iterations")
    for name, time in times.items():
        print(f"  {name:<26} {time:9.1f} ms  value {values[name]:.7f}")
    return {"n": n, "d": d, "factor": factor, "iterations": iterations, "milliseconds": times, "values": values}


def ours(x: Tensor, y: Tensor, eps: float, solver: Solver) -> Call:
    def call() -> float:
        problem = Discrete(x, y, reg=Quadratic(eps=eps))
        every = 1 if isinstance(solver, Newton) else 5
        return float(solve(problem, solver, tol=TOL, check_every=every, on_unconverged="raise").value)

    return call


def pot(x: Tensor, y: Tensor, eps: float, iterations: int) -> Call:
    n, m = len(x), len(y)
    costs = Discrete(x, y).matrix.double().numpy()

    def call() -> float:
        plan, _ = _smooth(costs, eps, iterations)
        # What POT itself reports as the value is not this objective.
        return float((plan * costs).sum() + n * m * eps / 2 * (plan**2).sum())

    return call


def pot_potentials(x: Tensor, y: Tensor, eps: float, iterations: int) -> Potentials:
    _, log = _smooth(Discrete(x, y).matrix.double().numpy(), eps, iterations)
    return Potentials(torch.as_tensor(log["alpha"]), torch.as_tensor(log["beta"]))


def certified(x: Tensor, y: Tensor, eps: float, potentials: Potentials) -> float:
    """The lower bound that potentials give; NaN where the gap is larger than TOL."""
    solution = Solution(Discrete(x, y, reg=Quadratic(eps=eps)), torch.zeros(()), potentials)
    return float(solution.lower) if float(solution.rel_gap) <= TOL else math.nan


def least_iterations(x: Tensor, y: Tensor, eps: float) -> int | None:
    """The fewest iterations of POT whose potentials have a gap of at most TOL."""
    counts = range(1, 400)
    return next((k for k in counts if not math.isnan(certified(x, y, eps, pot_potentials(x, y, eps, k)))), None)


def _smooth(costs: np.ndarray[Any, Any], eps: float, iterations: int) -> Any:
    import ot

    n, m = costs.shape
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    # In float64, in which it computes anyway; its own test, which is on other numbers, switched off.
    return ot.smooth.smooth_ot_dual(a, b, costs, n * m * eps, stopThr=1e-300, numItermax=iterations, log=True)


if __name__ == "__main__":
    main()
