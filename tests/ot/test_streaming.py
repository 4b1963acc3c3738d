"""Problems whose costs are never kept: the same answers, in memory that grows with the points alone."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest
import torch

from cases.checks import grad_of, last
from cases.random_problems import between, cloud
from otgen import ot
from otgen.errors import InputError
from otgen.ot import KL, L1, Acceleration, Cosine, Cost, Discrete, DualAscent, Sinkhorn, SinkhornUpdate, solve
from otgen.ot.core import memory
from otgen.ot.discrete import problem as discrete
from otgen.ot.discrete.sinkhorn import streaming

SMALL = 10_000


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 10 kB were free: problems of more than some 400 pairs are streamed, in blocks of a few rows."""
    monkeypatch.setattr(discrete, "_ALWAYS_KEPT_BYTES", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device="cpu": SMALL)
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 100)


def problem(cost: Cost | None = None, eps: float = 0.3, zeros: int = 2, dtype: torch.dtype = torch.float64) -> Discrete:
    """40 x 30, some weights zero."""
    return between(40, 30, KL(eps=eps), d=3, shift=0.3, zeros=(zeros, zeros), dtype=dtype, cost=cost)


@pytest.mark.parametrize("cost", [ot.SqEuclidean(), L1(), Cosine()], ids=str)
@pytest.mark.parametrize("update", list(SinkhornUpdate))
@pytest.mark.parametrize("steps", [1, 7])
def test_plain_steps_are_those_of_a_kept_problem(cost: Cost, update: SinkhornUpdate, steps: int, request: Any) -> None:
    solver = Sinkhorn(update=update)
    kept = solve(problem(cost), solver, tol=0, max_steps=steps)
    request.getfixturevalue("streamed")
    given = problem(cost)
    assert given.streamed
    found = solve(given, solver, tol=0, max_steps=steps)
    assert "matrix" not in given.__dict__
    torch.testing.assert_close(found.value, kept.value, rtol=1e-10, atol=1e-12)
    shift = (found.potentials.f - kept.potentials.f).mean()
    shifted = (found.potentials.f - shift, found.potentials.g + shift)
    torch.testing.assert_close(shifted, (kept.potentials.f, kept.potentials.g), rtol=1e-8, atol=1e-9)
    assert found.lower <= found.value <= found.upper


def test_annealed_steps_too(request: pytest.FixtureRequest) -> None:
    solver = Sinkhorn(anneal=0.5)
    kept = solve(problem(eps=0.02), solver, tol=0, max_steps=15)
    request.getfixturevalue("streamed")
    found = solve(problem(eps=0.02), solver, tol=0, max_steps=15)
    torch.testing.assert_close(found.value, kept.value, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [0.1, 0.5, 5.0])
def test_a_tolerance_is_reached_and_the_interval_holds_the_value(eps: float, dtype: torch.dtype) -> None:
    given = problem(eps=eps, dtype=dtype)
    assert isinstance(ot.default_solver(given), Sinkhorn)
    found = solve(given, tol=1e-3, max_steps=3000)
    assert found.converged
    truth = solve(problem(eps=eps), DualAscent(), tol=1e-7, max_steps=5000).value
    assert found.lower - 1e-6 <= truth <= found.upper + 1e-6


@pytest.mark.usefixtures("streamed")
def test_over_relaxed_steps_need_fewer_passes() -> None:
    solvers = [Sinkhorn(acceleration=kind) for kind in (Acceleration.NONE, Acceleration.RELAXED)]
    plain, relaxed = (solve(problem(eps=0.1), s, until=ot.MarginalError(1e-4), max_steps=5000).steps for s in solvers)
    assert relaxed < 0.7 * plain


@pytest.mark.usefixtures("streamed")
def test_a_subsample_is_a_better_start_than_none() -> None:
    x, y = cloud(400, 2, seed=5), cloud(300, 2, seed=6) + 0.5
    given = Discrete(x, y, reg=KL(eps=0.1))
    started = [solve(given, Sinkhorn(coarse=coarse), tol=0, max_steps=2) for coarse in (None, 150)]
    assert started[1].marginal_error_b.item() < 0.7 * started[0].marginal_error_b.item()


@pytest.mark.usefixtures("streamed")
def test_columns_far_from_every_row_are_taken_in_the_log_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    x = cloud(20, 2, seed=1)
    y = torch.cat([cloud(29, 2, seed=2), torch.full((1, 2), 60.0, dtype=torch.float64)])
    given = Discrete(x, y, reg=KL(eps=0.5))
    seen = []
    plain = streaming._log_columns
    monkeypatch.setattr(streaming, "_log_columns", lambda *args: seen.append(args) or plain(*args))
    found = streaming.sweep(given, torch.zeros(30, dtype=torch.float64), 0.5)
    assert seen
    costs = given.geometry.rows(slice(None), torch.float64)
    exponents = (found.f.unsqueeze(-1) - costs) / 0.5 + given.a.log().unsqueeze(-1)
    torch.testing.assert_close(found.log_columns, exponents.logsumexp(0), rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("streamed")
def test_gradients_and_divergences_stream() -> None:
    given = problem()
    x = given.sides()[0].points.clone().requires_grad_()
    y = given.sides()[1].points
    loss = ot.SinkhornDivergence(reg=KL(eps=0.3), tol=1e-3, gradient=ot.Envelope())
    loss(x, y).backward()
    assert last(loss).solutions[0].problem.streamed
    assert bool(torch.isfinite(grad_of(x)).all())


@pytest.mark.usefixtures("streamed")
def test_the_quadratic_value_streams_as_well() -> None:
    x, y = cloud(40, 3, seed=1), cloud(30, 3, seed=2)
    given = Discrete(x, y, reg=ot.Quadratic(eps=0.5))
    found = solve(given, DualAscent(), tol=1e-4)
    assert found.converged
    assert found.lower <= found.value <= found.upper


@pytest.mark.usefixtures("streamed")
def test_what_needs_the_matrix_says_the_bytes_it_would_take() -> None:
    with pytest.raises(InputError, match=r"a cost matrix of shape \(40, 30\).* needs 28800 bytes.*10 kB are free"):
        _ = problem().matrix
    found = solve(problem(), tol=0, max_steps=1)
    with pytest.raises(InputError, match=r"a dense plan of shape \(50, 40\).* bytes.*are free"):
        solve(Discrete(cloud(50, 2, seed=1), cloud(40, 2, seed=2)), tol=0, max_steps=1).plan()
    assert "gradient" not in repr(found)


@pytest.mark.slow
def test_fifty_thousand_points_within_half_an_hour_and_little_memory() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(50_000, 3, generator=rng)
    y = 0.7 * torch.randn(50_000, 3, generator=rng) + torch.tensor([1.0, 0.3, -0.5])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    found = solve(Discrete(x, y, reg=KL(eps=ot.Relative(0.01))), tol=1e-2)
    assert found.problem.streamed
    assert found.converged
    assert found.rel_gap.item() <= 1e-2
    assert time.monotonic() - start < 1800
    # Kilobytes: a matrix of float32 would be ten million.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000
