"""Linear-time Sinkhorn by positive features: its error against the certified value, and the n at which it pays.

    python studies/seqsgda/linear_time.py [--sizes 1000 3000 10000] [--dims 2 10] [--threads 1]

Two normal clouds, their means one standard deviation apart. For each size, dimension, eps and number of features: the
relative error of the value that the features' potentials prove, and the seconds that they take, beside the seconds that
the default solver takes to a certified gap no larger than that error. Medians of three. The full table takes some
minutes on one core.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from otgen.ot import KL, Discrete, PositiveFeatures, Relative, RelGap, Solution, solve

_STEPS = 30
_REPEATS = 3


def main() -> None:
    """Measure, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 3000, 10_000])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--features", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--eps", type=float, nargs="+", default=[1.0, 0.1], help="relative to the mean cost")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| d | eps / mean cost | n | features | error | features, s | default solver to that gap, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for dim in arguments.dims:
        for eps in arguments.eps:
            for n in arguments.sizes:
                _measure(_problem(n, dim, eps), dim, eps, arguments.features)


def _problem(n: int, dim: int, eps: float) -> Discrete:
    rng = torch.Generator().manual_seed(n + dim)
    x, y = torch.randn(n, dim, generator=rng), torch.randn(n, dim, generator=rng) + dim**-0.5
    return Discrete(x, y, reg=KL(eps=Relative(eps)))


def _measure(problem: Discrete, dim: int, eps: float, features: list[int]) -> None:
    truth = solve(problem, tol=1e-5, max_steps=500)
    for count in features:
        solver = PositiveFeatures(features=count)
        approximate, own = _timed(partial(solve, problem, solver, tol=0, max_steps=_STEPS))
        error = float((truth.upper - approximate.value.double()) / truth.upper)
        # No tighter than what the truth is known to.
        wanted = max(error, 1e-4)
        _, other = _timed(partial(solve, problem, until=RelGap(wanted), max_steps=500))
        what = f"| {dim} | {eps:g} | {len(problem.a):,} | {count:,} | {100 * error:.2g} %"
        print(f"{what} | {own:.3f} | {other:.3f} | {other / own:.1f} |", flush=True)


def _timed(run: Callable[[], Solution]) -> tuple[Solution, float]:
    """The result and the median seconds; the value is read, as one pass over the pairs belongs to it."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        solution = run()
        float(solution.value)
        seconds.append(time.perf_counter() - start)
    return solution, statistics.median(seconds)


if __name__ == "__main__":
    main()
