"""Time to a certified relative gap of 1e-3, against OTT-JAX in its settings, judged by our certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import Settings, Table
from benchmarks.timing import interleaved
from otgen.ot import KL, Discrete, Potentials, Sinkhorn, certify, solve

TOL = 1e-3
FACTORS = (0.05, 0.01, 0.002)
# Iterations at which a peer is given up.
MOST = 20_000
# Of the number of iterations: how finely its least value is looked for.
FINE = 0.1
# Factor an iteration, and the multiple of eps that OTT's scheduler starts at: the largest cost here is some 3 means.
DECAY = 0.9


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "gap",
        f"Time to a relative gap of {TOL:g}, KL, float32: medians, costs included, compile time excluded. Ours "
        "includes its certificates; OTT-JAX's is for the least number of iterations whose potentials have that gap",
        ("points", "eps / mean cost", "method", "iterations", "ms", "ours / theirs", "gap"),
    )
    for name, x, y in _clouds(settings):
        for factor in FACTORS[:1] if settings.tiny else FACTORS:
            _measure(name, x, y, factor, settings.seconds, table)
        if settings.tiny:
            break
    return table


def _clouds(settings: Settings) -> Iterator[tuple[str, Tensor, Tensor]]:
    from otgen.data import Digits, Gaussians8, Gaussians25, Mnist, ValueRange

    n = 60 if settings.tiny else 1000
    rng = torch.Generator().manual_seed(0)
    digits: Any = (
        Digits(pixel_range=ValueRange.UNIT)
        if settings.mnist is None
        else Mnist(folder=settings.mnist, pixel_range=ValueRange.UNIT)
    )
    which = "Digits" if settings.mnist is None else "MNIST"
    images = digits.sample(2 * n, rng).flatten(1)
    yield f"{n} + {n} {which}", images[:n], images[n:]
    yield f"{n} of 25 Gaussians + {n} of 8", Gaussians25().sample(n, rng), Gaussians8().sample(n, rng)


def _measure(name: str, x: Tensor, y: Tensor, factor: float, seconds: float, table: Table) -> None:
    eps = factor * Discrete(x, y).mean_cost
    problem = Discrete(x, y, reg=KL(eps=eps))
    calls: dict[str, Callable[[], float]] = {}
    found: dict[str, tuple[int, float]] = {}
    for label, solver in (("otgen", None), ("otgen, annealed by 0.9", Sinkhorn(anneal=0.9))):

        def ours(solver: Sinkhorn | None = solver) -> Any:
            return solve(Discrete(x, y, reg=KL(eps=eps)), solver, tol=TOL, max_steps=MOST)

        solution = ours()
        found[label] = solution.steps, float(solution.rel_gap)
        calls[label] = lambda ours=ours: float(ours().value)  # type: ignore[misc]
    # The same steps without a look at the accuracy: what of the time is the certificate's.
    taken = found["otgen"][0]
    found["otgen, its steps alone"] = found["otgen"]
    calls["otgen, its steps alone"] = lambda: float(
        solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn.fastest(), tol=0, max_steps=taken).value
    )
    try:
        settings = _ott_settings(eps, problem)
    except ImportError as error:
        print(f"OTT-JAX is left out: {error}")
        settings = {}
    for label, options in settings.items():
        least = _least(lambda steps, options=options: _ott(x, y, eps, steps, options), problem)  # type: ignore[misc]
        if least is None:
            table.add(name, factor, label, f"> {MOST}", "", "", "")
            continue
        steps, gap = least
        found[label] = steps, gap
        run = _ott(x, y, eps, steps, options)
        calls[label] = lambda run=run: float(run()[1][0])  # type: ignore[misc]
        calls[label]()
    times = interleaved(calls, seconds=seconds)
    for label, ms in times.items():
        table.add(name, factor, label, found[label][0], ms, times["otgen"] / ms, found[label][1])


def _ott_settings(eps: float, problem: Discrete) -> dict[str, dict[str, Any]]:
    from ott.solvers.linear import acceleration

    start = float(problem.matrix.max()) / eps
    return {
        "OTT-JAX": {},
        "OTT-JAX, momentum 1.5": {"momentum": acceleration.Momentum(value=1.5)},
        "OTT-JAX, Anderson(3)": {"anderson": acceleration.AndersonAcceleration(memory=3)},
        f"OTT-JAX, eps falling by {DECAY}": {"schedule": (start, DECAY)},
    }


def _ott(x: Tensor, y: Tensor, eps: float, steps: int, options: dict[str, Any]) -> Callable[[], tuple[Any, Any]]:
    """A jitted solve of so many iterations; the call returns OTT's potentials f, g."""
    import jax
    from ott.geometry import costs, epsilon_scheduler, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    from otgen.peers.ott import array

    options = dict(options)
    start, decay = options.pop("schedule", (1.0, 1.0))
    solver = sinkhorn.Sinkhorn(
        threshold=0.0, min_iterations=steps, max_iterations=steps, inner_iterations=steps, **options
    )

    @jax.jit
    def solved(u: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        epsilon = epsilon_scheduler.Epsilon(target=eps, init=start, decay=decay)
        geometry = pointcloud.PointCloud(u, v, cost_fn=costs.SqEuclidean(), epsilon=epsilon)
        found = solver(linear_problem.LinearProblem(geometry))
        return found.f, found.g

    points = array(x), array(y)
    return lambda: jax.block_until_ready(solved(*points))


def _least(make: Callable[[int], Callable[[], tuple[Any, Any]]], problem: Discrete) -> tuple[int, float] | None:
    """The least number of iterations that reaches the gap: doubled first, then halved in between."""
    from otgen.peers.ott import potentials

    def gap(steps: int) -> float:
        f, g = make(steps)()
        certificate = certify(problem, Potentials(*potentials(f, g, problem.reg.weight)))  # type: ignore[attr-defined]
        return float(certificate.interval.rel_gap)

    high = 20
    at_high = gap(high)
    while not at_high <= TOL:
        high *= 2
        if high > MOST:
            return None
        at_high = gap(high)
    low = high // 2 if high > 20 else 0
    while high - low > max(1, FINE * high):
        middle = (low + high) // 2
        at_middle = gap(middle)
        if at_middle <= TOL:
            high, at_high = middle, at_middle
        else:
            low = middle
    return high, at_high
