"""The divergence with its gradient, as in a training step, against GeomLoss: time, and error against float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import problem
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for KeOps
            from geomloss import SamplesLoss
    except ImportError as error:
        print(f"GeomLoss is left out: {error}")
        return losses
    from otgen.peers.geomloss import options

    arguments, factor = options(SqEuclidean(), EPS)
    theirs = SamplesLoss("sinkhorn", scaling=0.9, backend="tensorized", **arguments)
    losses["GeomLoss, scaling 0.9"] = lambda x, y: factor * theirs(x, y)
    return losses


def _measure(n: int, seconds: float, table: Table) -> None:
    x, y = problem(n, DIMENSION, seed=n)
    exact = SinkhornDivergence(reg=KL(eps=EPS), tol=1e-9, max_steps=100_000)
    value, gradient = _both(exact, x.double(), y.double())
    losses = _losses()
    times = interleaved({name: _call(loss, x, y) for name, loss in losses.items()}, seconds=seconds)
    for name, loss in losses.items():
        v, g = _both(loss, x, y)
        errors = abs(v.double() - value) / abs(value), (g.double() - gradient).norm() / gradient.norm()
        table.add(n, name, times[name], times["otgen"] / times[name], *map(float, errors))


def _both(loss: Loss, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient


def _call(loss: Any, x: Tensor, y: Tensor) -> Callable[[], float]:
    return lambda: float(_both(loss, x, y)[0])
