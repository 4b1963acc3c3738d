"""Quadratic regularisation to a certified relative gap of 1e-6, against POT's L2 solver, all in one run.

POT minimises ``<P, C> + gamma / 2 |P|^2``, we ``<P, C> + eps / 2 sum P_ij^2 / (a_i b_j)``: with uniform weights
``gamma = n m eps``, and the potentials are the same numbers. POT knows no certificate: its settings are tried from the
loosest on, and those that are timed are the fastest whose potentials pass ours. Our time includes the cost matrix
and the certificates, POT's neither.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
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
    settings = best_settings(x, y, eps)
    if settings is None:
        print(f"d = {d}, eps = {factor} mean cost: POT reaches no gap of {TOL:.0e}")
    else:
        calls["POT, L2"] = pot(x, y, eps, **settings)[0]
        # The number of iterations is one that only the certificate could tell.
        calls["POT, L2, by its own test"] = pot(x, y, eps, stopThr=settings["own"], numItermax=1000, own=0.0)[0]
    values = {name: call() for name, call in calls.items()}
    times = interleaved(calls, seconds=seconds)
    print(f"d = {d}, eps = {factor} mean cost; POT with {settings}")
    for name, time in times.items():
        print(f"  {name:<26} {time:9.1f} ms  value {values[name]:.7f}")
    return {"n": n, "d": d, "factor": factor, "settings": settings, "milliseconds": times, "values": values}


def ours(x: Tensor, y: Tensor, eps: float, solver: Solver) -> Call:
    def call() -> float:
        problem = Discrete(x, y, reg=Quadratic(eps=eps))
        every = 1 if isinstance(solver, Newton) else 5
        return float(solve(problem, solver, tol=TOL, check_every=every, on_unconverged="raise").value)

    return call


def pot(
    x: Tensor, y: Tensor, eps: float, *, stopThr: float, numItermax: int, own: float
) -> tuple[Call, Callable[[], Any]]:
    import ot

    n, m = len(x), len(y)
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    # In float64, in which it computes anyway.
    costs = Discrete(x, y).matrix.double().numpy()
    gamma = n * m * eps

    def run() -> Any:
        return ot.smooth.smooth_ot_dual(a, b, costs, gamma, stopThr=stopThr, numItermax=numItermax, log=True)

    def call() -> float:
        plan, _ = run()
        # What POT itself reports as the value is not this objective.
        return float((plan * costs).sum() + gamma / 2 * (plan**2).sum())

    return call, run


def best_settings(x: Tensor, y: Tensor, eps: float) -> dict[str, Any] | None:
    """The fewest iterations, and the loosest tolerance of its own, whose potentials have a gap of at most TOL."""
    least = next((k for k in range(2, 400, 2) if _gap(x, y, eps, 1e-300, k) <= TOL), None)
    own = next((10.0**-k for k in range(5, 17) if _gap(x, y, eps, 10.0**-k, 1000) <= TOL), None)
    return None if least is None or own is None else {"stopThr": 1e-300, "numItermax": least, "own": own}


def _gap(x: Tensor, y: Tensor, eps: float, threshold: float, most: int) -> float:
    _, log = pot(x, y, eps, stopThr=threshold, numItermax=most, own=0.0)[1]()
    problem = Discrete(x, y, reg=Quadratic(eps=eps))
    potentials = Potentials(torch.as_tensor(log["alpha"]), torch.as_tensor(log["beta"]))
    return float(Solution(problem, torch.zeros(()), potentials).rel_gap)


if __name__ == "__main__":
    main()
