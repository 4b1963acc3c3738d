"""Semi-discrete transport from a generator to MNIST: averaged SGD, the default solver, OTT-JAX; same atoms, same K.

python -m benchmarks.semi_discrete --mnist FOLDER    (60,000 atoms; without a folder the 5,000 embedded digits)
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import RESULTS
from benchmarks.timing import Call, interleaved
from otgen.data import Digits, Mnist
from otgen.ot import (
    KL,
    AtomPotentials,
    AveragedSGD,
    NoReg,
    Relative,
    SemiDiscrete,
    SemiDiscreteEstimate,
    SemiDiscreteSolver,
    StochasticSinkhorn,
)
from otgen.ot.core.precision import full_precision
from otgen.ot.semi_discrete.estimate import semi_dual_estimate
from otgen.train.rundir import environment

WIDTHS = (128, 256, 512, 1024, 784)


@dataclass
class Generator:
    """A random MLP of Gaussian noise, fixed: leaky ReLU, He's scale, a sigmoid to mostly dark pixels."""

    layers: list[Tensor]

    @staticmethod
    def seeded(seed: int) -> Generator:
        rng = torch.Generator().manual_seed(seed)
        pairs = zip(WIDTHS[:-1], WIDTHS[1:], strict=True)
        return Generator([torch.randn(n, m, generator=rng) * math.sqrt(2 / n) for n, m in pairs])

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        h = torch.randn(n, WIDTHS[0], generator=rng)
        for layer in self.layers[:-1]:
            h = torch.nn.functional.leaky_relu(h @ layer, 0.2)
        return torch.sigmoid(2 * h @ self.layers[-1] - 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", help="folder of MNIST's IDX files")
    parser.add_argument("--atoms", type=int, default=0, help="so many of them; 0 takes all")
    parser.add_argument("--steps", type=int, default=2000, help="of averaged SGD, and at most of the default solver")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.05, 0.01, 0.002], help="relative; 0 is none")
    parser.add_argument("--look", type=int, default=3200, help="samples of each chi-square")
    parser.add_argument("--seconds", type=float, default=20.0, help="timing of each solver's step")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    y = atoms(arguments.mnist, arguments.atoms)
    base = SemiDiscrete(Generator.seeded(1), y)
    print(f"{len(y)} atoms of {y.shape[1]} pixels, K = {arguments.batch}, {torch.get_num_threads()} threads")
    rows = [race(base, eps, arguments) for eps in arguments.eps]
    # Before another library is loaded.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")
    steps = step_times(base, arguments)
    record = {"atoms": len(y), "batch": arguments.batch, "rows": rows, "step_milliseconds": steps, "peak_mb": peak}
    record |= {"environment": environment(), "peers": versions()}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"semi_discrete_{len(y)}.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nKept in {file}")


def versions() -> dict[str, str]:
    found = {}
    for package in ("ott-jax", "jax"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def atoms(folder: str | None, count: int) -> Tensor:
    source = Mnist(folder=folder) if folder else Digits(split="all")
    if count:
        order = torch.randperm(source.count, generator=torch.Generator().manual_seed(0))
        return source.take(order[:count]).flatten(1)
    return source.support().flatten(1)


def race(base: SemiDiscrete, factor: float, arguments: Any) -> dict[str, object]:
    """Averaged SGD to the end, then the default solver until it is as good."""
    problem = base.with_reg(KL(eps=Relative(factor)) if factor else NoReg()).resolved()
    print(f"\neps = {factor} x mean cost = {problem.weight:.3g}")
    plain = track(problem, AveragedSGD(batch=arguments.batch), [arguments.steps], -math.inf, arguments.look)
    goal = plain[-1]["chi2"]
    marks = [round(8 * 2 ** (k / 2)) for k in range(30)]
    marks = [mark for mark in marks if mark < arguments.steps] + [arguments.steps]
    fast = track(problem, StochasticSinkhorn(batch=arguments.batch), marks, goal, arguments.look)
    ratio = fast[-1]["seconds"] / plain[-1]["seconds"]
    verdict = "as good" if fast[-1]["chi2"] <= goal else "NOT as good"
    print(f"  the default solver is {verdict} after {100 * ratio:.2g} % of the time")
    return {"factor": factor, "eps": problem.weight, "AveragedSGD": plain, "StochasticSinkhorn": fast, "time": ratio}


def track(
    problem: SemiDiscrete, solver: SemiDiscreteSolver, marks: list[int], goal: float, look: int
) -> list[dict[str, Any]]:
    """Chi-square by steps and seconds; looks are not timed."""
    found: list[dict[str, Any]] = []
    seconds, steps = 0.0, 0
    with torch.no_grad(), full_precision(problem.device):
        start = time.perf_counter()
        state = solver.init(problem, None, torch.Generator().manual_seed(1))
        for mark in marks:
            state = solver.advance(problem, state, mark - steps)
            seconds, steps = seconds + time.perf_counter() - start, mark
            seen = judged(problem, state.average, look)
            found.append({"steps": mark, "seconds": seconds, "chi2": seen.chi2, "high": seen.chi2_high})
            print(
                f"  {type(solver).__name__:<18} {mark:5d} steps {seconds:8.2f} s  "
                f"chi-square {seen.chi2:.4g} in [{seen.chi2_low:.4g}, {seen.chi2_high:.4g}]",
                flush=True,
            )
            # Its upper limit: no lucky look wins.
            if seen.chi2_high <= goal:
                break
            start = time.perf_counter()
    return found


def judged(problem: SemiDiscrete, g: Tensor, look: int) -> SemiDiscreteEstimate:
    return semi_dual_estimate(AtomPotentials(problem, g.clone()), look, torch.Generator().manual_seed(99))


def step_times(base: SemiDiscrete, arguments: Any) -> dict[str, float]:
    problem = base.with_reg(KL(eps=Relative(0.01))).resolved()
    calls: dict[str, Call] = {
        type(solver).__name__: ours(problem, solver)
        for solver in (AveragedSGD(batch=arguments.batch), StochasticSinkhorn(batch=arguments.batch))
    }
    try:
        calls["OTT-JAX"] = ott(problem, arguments.batch)
    except ImportError as error:
        print(f"OTT-JAX is left out: {error}")
    times = interleaved(calls, seconds=arguments.seconds)
    print("\nmilliseconds a step: " + ", ".join(f"{name} {value:.2f}" for name, value in times.items()))
    return times


def ours(problem: SemiDiscrete, solver: SemiDiscreteSolver) -> Call:
    state = solver.init(problem, None, torch.Generator().manual_seed(1))

    def call() -> float:
        with torch.no_grad(), full_precision(problem.device):
            solver.advance(problem, state, 1)
        return float(state.g[0])

    return call


def ott(problem: SemiDiscrete, batch: int) -> Call:
    """One compiled step of its SemidiscreteSolver, plain SGD, the same generator and atoms."""
    import jax
    import jax.numpy as jnp
    import optax
    from ott.geometry.semidiscrete_pointcloud import SemidiscretePointCloud
    from ott.problems.linear.semidiscrete_linear_problem import SemidiscreteLinearProblem
    from ott.solvers.linear.semidiscrete import SemidiscreteSolver, SemidiscreteState

    assert isinstance(problem.source, Generator)
    layers = [jnp.array(layer.numpy()) for layer in problem.source.layers]

    def sampler(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        h = jax.random.normal(key, (shape[0], WIDTHS[0]))
        for layer in layers[:-1]:
            h = jax.nn.leaky_relu(h @ layer, 0.2)
        return jax.nn.sigmoid(2 * h @ layers[-1] - 2)

    y = jnp.array(problem.y.numpy())
    solver = SemidiscreteSolver(num_iterations=8, batch_size=batch, optimizer=optax.sgd(problem.weight))

    @jax.jit
    def compiled(key: jax.Array, g: jax.Array, points: jax.Array) -> jax.Array:
        law = SemidiscreteLinearProblem(SemidiscretePointCloud(sampler, points, epsilon=problem.weight))
        empty = jnp.zeros(8)
        state = SemidiscreteState(
            it=jnp.array(0),
            epsilon=jnp.nan,
            g=g,
            g_ema=g,
            opt_state=solver.optimizer.init(g),
            losses=empty,
            grad_norms=empty,
            errors=jnp.zeros(1),
        )
        return solver.step(key, state, law).g

    held = {"key": jax.random.PRNGKey(0), "g": jnp.zeros(len(y))}

    def call() -> float:
        held["key"], key = jax.random.split(held["key"])
        held["g"] = compiled(key, held["g"], y).block_until_ready()
        return float(held["g"][0])

    return call


if __name__ == "__main__":
    main()
