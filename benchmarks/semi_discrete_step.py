"""A step of semi-discrete transport: averaged SGD, the default solver, OTT-JAX; same generator, atoms and batch."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.report import Settings, Table
from benchmarks.semi_discrete import BATCH, WIDTHS, Generator, regularised, unregularised
from benchmarks.timing import Call, interleaved
from otgen.ot import AveragedSGD, SemiDiscrete, SemiDiscreteSolver, StochasticSinkhorn
from otgen.ot.core.precision import full_precision

FACTOR = 0.01


def main(settings: Settings) -> Table:
    """The table."""
    given = regularised(unregularised(settings), FACTOR)
    table = Table(
        "semi_discrete_step",
        f"A step of semi-discrete transport from a generator to {len(given.y)} digits, K = {BATCH}, eps = {FACTOR:g} "
        "mean costs: medians, no compile time",
        ("solver", "ms", "StochasticSinkhorn / this"),
    )
    solvers: tuple[SemiDiscreteSolver, ...] = (AveragedSGD(batch=BATCH), StochasticSinkhorn(batch=BATCH))
    calls: dict[str, Call] = {type(solver).__name__: _ours(given, solver) for solver in solvers}
    try:
        calls["OTT-JAX"] = _ott(given)
    except ImportError as error:
        print(f"OTT-JAX is left out: {error}")
    times = interleaved(calls, seconds=10 * settings.seconds)
    for name, ms in times.items():
        table.add(name, ms, times["StochasticSinkhorn"] / ms)
    return table


def _ours(given: SemiDiscrete, solver: SemiDiscreteSolver) -> Call:
    state = solver.init(given, None, torch.Generator().manual_seed(1))

    def call() -> float:
        with torch.no_grad(), full_precision(given.device):
            solver.advance(given, state, 1)
        return float(state.g[0])

    return call


def _ott(given: SemiDiscrete) -> Call:
    """One compiled step of its SemidiscreteSolver, plain SGD."""
    import jax
    import jax.numpy as jnp
    import optax
    from ott.geometry.semidiscrete_pointcloud import SemidiscretePointCloud
    from ott.problems.linear.semidiscrete_linear_problem import SemidiscreteLinearProblem
    from ott.solvers.linear.semidiscrete import SemidiscreteSolver, SemidiscreteState

    assert isinstance(given.source, Generator)
    layers = [jnp.array(layer.numpy()) for layer in given.source.layers]

    def sampler(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        h = jax.random.normal(key, (shape[0], WIDTHS[0]))
        for layer in layers[:-1]:
            h = jax.nn.leaky_relu(h @ layer, 0.2)
        return jax.nn.sigmoid(2 * h @ layers[-1] - 2)

    y = jnp.array(given.y.numpy())
    solver = SemidiscreteSolver(num_iterations=8, batch_size=BATCH, optimizer=optax.sgd(given.weight))

    @jax.jit
    def compiled(key: jax.Array, g: jax.Array, points: jax.Array) -> jax.Array:
        law = SemidiscreteLinearProblem(SemidiscretePointCloud(sampler, points, epsilon=given.weight))
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
