"""The divergence with its gradient, as in a training step, against GeomLoss: time, and error against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from benchmarks.peers import differentiated, problem, samples_loss
from benchmarks.report import Settings, Table
from benchmarks.timing import interleaved
from otgen.ot import KL, SinkhornDivergence, SqEuclidean

DIMENSION, EPS = 64, 0.1
SIZES, TINY = (100, 256, 1000), (30,)
# A fixed setting of ours, the same for all sizes.
STEPS = 20

Loss = Callable[[Tensor, Tensor], Tensor]


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "divergence",
        f"Sinkhorn divergence, forward and backward, d = {DIMENSION}, eps = {EPS}, float32: medians; relative errors "
        f"against a float64 solve to a gap of 1e-9. Ours: {STEPS} symmetric steps",
        ("n", "library", "ms", "ours / theirs", "value error", "gradient error"),
    )
    for n in TINY if settings.tiny else SIZES:
        _measure(n, settings.seconds, table)
    return table


def _losses() -> dict[str, Loss]:
    losses: dict[str, Loss] = {
        "otgen": SinkhornDivergence(reg=KL(eps=EPS), tol=0, max_steps=STEPS),
    }
    found = samples_loss()
    if found is None:
        return losses
    from otgen.peers.geomloss import options

    arguments, factor = options(SqEuclidean(), EPS)
    theirs = found("sinkhorn", scaling=0.9, backend="tensorized", **arguments)
    losses["GeomLoss, scaling 0.9"] = lambda x, y: factor * theirs(x, y)
    return losses


def _measure(n: int, seconds: float, table: Table) -> None:
    x, y = problem(n, DIMENSION, seed=n)
    exact = SinkhornDivergence(reg=KL(eps=EPS), tol=1e-9, max_steps=100_000)
    value, gradient = differentiated(exact, x.double(), y.double())
    losses = _losses()
    times = interleaved({name: _call(loss, x, y) for name, loss in losses.items()}, seconds=seconds)
    for name, loss in losses.items():
        v, g = differentiated(loss, x, y)
        errors = abs(v.double() - value) / abs(value), (g.double() - gradient).norm() / gradient.norm()
        table.add(n, name, times[name], times["otgen"] / times[name], *map(float, errors))


def _call(loss: Any, x: Tensor, y: Tensor) -> Callable[[], float]:
    return lambda: float(differentiated(loss, x, y)[0])
