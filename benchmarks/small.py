"""Small problems against the peers: what a call costs apart from its sums.

Every row is one call, costs and certificates included, on one thread: run it with ``--threads 1``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import differentiated, problem, samples_loss
from benchmarks.quadratic import least_iterations, smooth
from benchmarks.report import Settings, Table
from benchmarks.timing import Call, interleaved
from otgen.ot import KL, Discrete, NoReg, Quadratic, SamplesLoss, SinkhornDivergence, SqEuclidean, solve
from otgen.ot.discrete.exact import pot

DIMENSION = 2
EXACT_SIZES, TINY_SIZES = (10, 50, 500), (10,)
DIVERGENCE_SIZES = (10, 50, 100, 500)
# Problems and points of a batch.
BATCH, TINY_BATCH = (32, 64), (3, 8)
BATCH_EPS, DIVERGENCE_EPS = 0.5, 0.05
SCALING = 0.9
# Iterations at which POT's batched solver is given up.
MOST = 1000
QUADRATIC_EPS = 2e-5
QUADRATIC_SIZE, TINY_QUADRATIC = 100, 12
# Steps of a generator, points and dimension of a step.
GENERATOR_STEPS, GENERATOR_POINTS, GENERATOR_DIMENSION = 60, 256, 2
# Learning rate of a generator's points.
RATE = 0.05


def main(settings: Settings) -> Table:
    """The table."""
    table = Table(
        "small",
        "Small problems, squared distances, float32 (exact: float64): medians of whole calls, costs and certificates "
        "included. Errors are relative, against float64 solves: of the value, and where there is one of the gradient",
        ("call", "n", "library", "ms", "ours / theirs", "value error", "gradient error"),
    )
    for measure in (_exact, _batch, _divergence, _forward, _quadratic, _generator):
        measure(settings, table)
    return table


def _exact(settings: Settings, table: Table) -> None:
    emd2, dist = pot().emd2, pot().dist
    for n in TINY_SIZES if settings.tiny else EXACT_SIZES:
        x, y = (points.double() for points in problem(n, DIMENSION, seed=n))
        left, right = x.numpy(), y.numpy()
        uniform = np.full(n, 1 / n)
        calls: dict[str, Call] = {
            "otgen": lambda x=x, y=y: float(solve(Discrete(x, y, reg=NoReg())).value),  # type: ignore[misc]
            "POT, emd2": lambda left=left, right=right, w=uniform: float(  # type: ignore[misc]
                emd2(w, w, dist(left, right))
            ),
        }
        value = calls["POT, emd2"]()
        times = interleaved(calls, seconds=settings.seconds)
        for name, call in calls.items():
            table.add("exact", n, name, times[name], times["otgen"] / times[name], _off(call(), value), "")


def _batch(settings: Settings, table: Table) -> None:
    count, n = TINY_BATCH if settings.tiny else BATCH
    pairs = [problem(n, DIMENSION, seed=k) for k in range(count)]
    x, y = (torch.stack(each) for each in zip(*pairs, strict=True))
    eps = BATCH_EPS * Discrete(x, y).mean_cost
    values = solve(Discrete(x.double(), y.double(), reg=KL(eps=eps)), tol=1e-10, on_unconverged="ignore").value
    found: dict[str, Callable[[], Tensor]] = {"otgen": lambda: solve(Discrete(x, y, reg=KL(eps=eps))).value}

    def off(call: Callable[[], Tensor]) -> float:
        return float(((call().double() - values).abs() / values).max())

    wanted = off(found["otgen"])
    least = _least_batched(x, y, eps, values, wanted)
    found[f"POT, solve_batch, {least} iterations"] = _pot_batch(x, y, eps, least)
    theirs = _geomloss(eps, debias=False)
    if theirs is not None:
        found[f"GeomLoss, scaling {SCALING}"] = lambda: theirs(x, y)
    calls = {name: (lambda call=call: float(call().sum())) for name, call in found.items()}  # type: ignore[misc]
    times = interleaved(calls, seconds=settings.seconds)
    for name, call in found.items():
        table.add("batch", f"{count} x {n}", name, times[name], times["otgen"] / times[name], off(call), "")


def _pot_batch(x: Tensor, y: Tensor, eps: float, iterations: int) -> Callable[[], Tensor]:
    """POT's batched Sinkhorn for the entropic value: the transport cost plus eps times the divergence of its plans."""
    theirs = pot()

    def call() -> Tensor:
        costs = theirs.batch.dist_batch(x, y)
        found = theirs.batch.solve_batch(costs, reg=eps, reg_type="kl", max_iter=iterations, tol=0, grad="detach")
        values: Tensor = found.value
        return values

    return call


def _least_batched(x: Tensor, y: Tensor, eps: float, values: Tensor, wanted: float) -> int:
    """The fewest iterations of POT whose values are as accurate as ours, which no user of it could know."""
    for iterations in range(1, MOST):
        found = _pot_batch(x, y, eps, iterations)().double()
        if float(((found - values).abs() / values).max()) <= wanted:
            return iterations
    return MOST


def _divergence(settings: Settings, table: Table) -> None:
    for n in TINY_SIZES if settings.tiny else DIVERGENCE_SIZES:
        x, y = problem(n, DIMENSION, seed=n)
        eps = DIVERGENCE_EPS * Discrete(x, y).mean_cost
        losses = {"otgen": SinkhornDivergence(reg=KL(eps=eps))}
        _losses_compared("divergence", x, y, losses | _peer("GeomLoss, default", eps), settings, table)


def _peer(name: str, eps: float) -> dict[str, Any]:
    theirs = _geomloss(eps, scaling=None)
    return {} if theirs is None else {name: theirs}


def _losses_compared(call: str, x: Tensor, y: Tensor, losses: dict[str, Any], settings: Settings, table: Table) -> None:
    exact = SinkhornDivergence(reg=losses["otgen"].reg, tol=1e-9, max_steps=100_000, on_unconverged="ignore")
    value, gradient = differentiated(exact, x.double(), y.double())
    calls = {name: (lambda loss=loss: float(differentiated(loss, x, y)[0])) for name, loss in losses.items()}  # type: ignore[misc]
    times = interleaved(calls, seconds=settings.seconds)
    for name, loss in losses.items():
        v, g = differentiated(loss, x, y)
        off = float((g.double() - gradient).norm() / gradient.norm())
        table.add(call, len(x), name, times[name], times["otgen"] / times[name], _off(float(v), float(value)), off)


def _forward(settings: Settings, table: Table) -> None:
    """A default solve: no peer certifies it, so that its milliseconds are compared between commits."""
    for n in TINY_SIZES if settings.tiny else EXACT_SIZES:
        x, y = problem(n, DIMENSION, seed=n)
        call = lambda x=x, y=y: float(solve(Discrete(x, y)).value)  # type: ignore[misc] # noqa: E731
        value = float(solve(Discrete(x.double(), y.double()), tol=1e-10, on_unconverged="ignore").value)
        table.add(
            "forward", n, "otgen", interleaved({"": call}, seconds=settings.seconds)[""], "", _off(call(), value), ""
        )


def _quadratic(settings: Settings, table: Table) -> None:
    n = TINY_QUADRATIC if settings.tiny else QUADRATIC_SIZE
    x, y = problem(n, DIMENSION, seed=n)
    eps = QUADRATIC_EPS * Discrete(x, y).mean_cost
    regularised = Discrete(x, y, reg=Quadratic(eps=eps))
    ours = solve(regularised)
    least = least_iterations(x, y, eps, float(ours.rel_gap))
    costs = Discrete(x, y).matrix.double().numpy()
    calls: dict[str, Call] = {"otgen": lambda: float(solve(Discrete(x, y, reg=Quadratic(eps=eps))).value)}
    if least is None:
        print("POT's dual does not reach our gap: it is left out")
    else:
        calls[f"POT, L2, {least} iterations"] = lambda: float((smooth(costs, eps, least)[0] * costs).sum())
    times = interleaved(calls, seconds=settings.seconds)
    for name in calls:
        table.add("quadratic", n, name, times[name], times["otgen"] / times[name], "", "")


def _generator(settings: Settings, table: Table) -> None:
    """The drop-in in a training loop: points that move towards the data, at GeomLoss's own blur."""
    n = TINY_SIZES[0] if settings.tiny else GENERATOR_POINTS
    steps = 2 if settings.tiny else GENERATOR_STEPS
    x, y = problem(n, GENERATOR_DIMENSION, seed=0)
    losses: dict[str, Any] = {"otgen, SamplesLoss": SamplesLoss(blur=0.05)}
    theirs = samples_loss()
    if theirs is not None:
        losses["GeomLoss"] = theirs("sinkhorn", blur=0.05, backend="tensorized")

    def trained(loss: Any) -> float:
        points = x.clone()
        value = torch.zeros(())
        for _ in range(steps):
            points.requires_grad_()
            value = loss(points, y)
            (gradient,) = torch.autograd.grad(value, points)
            points = (points - RATE * len(points) * gradient).detach()
        return float(value)

    calls = {name: (lambda loss=loss: trained(loss)) for name, loss in losses.items()}  # type: ignore[misc]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = interleaved(calls, seconds=settings.seconds, least=1)
    for name, ms in times.items():
        table.add(f"{steps} steps, blur 0.05", n, name, ms, times["otgen, SamplesLoss"] / ms, "", "")


def _geomloss(eps: float, *, debias: bool = True, scaling: float | None = SCALING) -> Callable[..., Tensor] | None:
    """GeomLoss for the same objective; its own scaling if None."""
    theirs = samples_loss()
    if theirs is None:
        return None
    from otgen.peers.geomloss import options

    arguments, factor = options(SqEuclidean(), eps)
    given = arguments if scaling is None else arguments | {"scaling": scaling}
    loss = theirs("sinkhorn", backend="tensorized", **{**given, "debias": debias})
    return lambda x, y: factor * loss(x, y)


def _off(value: float, exact: float) -> float:
    return abs(value - exact) / abs(exact)
