"""First-order ascent on the dual of both potentials: Sanjabi et al. 2018, (23), D.2 and D.3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import otgen.ot.discrete.dual_ascent as dual_ascent
from cases.checks import refused
from cases.components import Smooth, every_smooth
from cases.errors import raising
from cases.random_problems import between, cloud, truth, two_points
from otgen.ot import KL, Discrete, DualAscent, Newton, Quadratic, SmoothRegulariser, Unroll, solve

every_memory = pytest.mark.parametrize("memory", [0, 1, 10])


def problem(reg: SmoothRegulariser, *, zeros: int = 0, uniform: bool = False) -> Discrete:
    weighted = between(14, 9, reg, zeros=(zeros, zeros))
    return Discrete(*weighted.geometry.inputs(), reg=reg) if uniform else weighted


def iterates(case: Discrete, solver: DualAscent, steps: int) -> Iterator[dual_ascent.DualAscentState]:
    """The states of a run, the first included."""
    with torch.no_grad():
        state = solver.init(case)
        yield state
        for _ in range(steps):
            state = solver.step(case, state)
            yield state


def gradient(case: Discrete, state: dual_ascent.DualAscentState) -> Tensor:
    return torch.cat([case.a * state.rows, case.b * state.columns])


# The dual


@every_smooth
def test_value_and_gradient_are_those_of_the_dual(cls: Smooth) -> None:
    case = problem(cls(eps=0.7), zeros=2)
    f, g = (0.3 * cloud(k, 1, seed).squeeze(1).requires_grad_() for k, seed in ((14, 5), (9, 6)))
    s = f[:, None] + g - case.matrix
    value = case.a @ f + case.b @ g - case.a @ case.reg.conjugate(s) @ case.b  # type: ignore[attr-defined]
    expected = torch.autograd.grad(value, (f, g))
    with torch.no_grad():
        found, rows, columns = dual_ascent._Ascent(case).at(f, g)
    torch.testing.assert_close(found, value.detach(), rtol=1e-13, atol=0)
    torch.testing.assert_close((case.a * rows, case.b * columns), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("eps", [0.5, 3.0, 10.0])
@every_memory
def test_quadratic_self_cost_of_two_points(p: float, eps: float, memory: int) -> None:
    case, value, plan = two_points(p, eps)
    solution = solve(case, DualAscent(memory=memory), tol=1e-11, max_steps=3000, on_unconverged="raise")
    assert solution.value.item() == pytest.approx(value, rel=1e-10)
    torch.testing.assert_close(solution.plan(), plan, rtol=0, atol=1e-4)


@every_smooth
@every_memory
def test_every_step_goes_up(cls: Smooth, memory: int) -> None:
    values = [s.value.item() for s in iterates(problem(cls(eps=0.3)), DualAscent(memory=memory), 60)]
    assert all(later >= earlier - 1e-14 for earlier, later in zip(values, values[1:], strict=False))
    assert values[-1] > values[0]


# The paper's statements


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("eps", [0.1, 1.0])
def test_plain_ascent_keeps_the_rate_of_gradient_ascent(uniform: bool, eps: float) -> None:
    """``F* - F_k <= L_F R^2 / (4 k + 2)``, R the distance from the start to a maximiser."""
    case = problem(Quadratic(eps=eps), uniform=uniform)
    best = truth(case)
    lipschitz = (case.a.max().item() + case.b.max().item()) / eps
    states = list(iterates(case, DualAscent(memory=0), 300))
    shift = torch.cat([states[0].f - torch.as_tensor(best.f), states[0].g - torch.as_tensor(best.g)])
    # Constants move freely between f and g: the nearest maximiser of these.
    along = torch.cat([torch.ones(14), -torch.ones(9)]).double()
    shift -= along * (shift @ along) / (along @ along)
    errors = [best.low - state.value.item() for state in states]
    for k, error in enumerate(errors[1:], start=1):
        assert error <= lipschitz * shift.square().sum().item() / (4 * k + 2)
    # And the first steps are not done yet, so that the bound speaks of something.
    assert errors[3] > 1e-4 * abs(best.value)


@pytest.mark.parametrize("uniform", [True, False])
@every_memory
def test_the_squared_gradient_is_bounded_by_the_gap(uniform: bool, memory: int) -> None:
    """``||grad F||^2 <= 2 L_F (F* - F)``: what D.3 prints without the square on the left is false."""
    eps = 0.3
    case = problem(Quadratic(eps=eps), uniform=uniform)
    best, violated = truth(case), 0
    lipschitz = (case.a.max().item() + case.b.max().item()) / eps
    if uniform:
        assert lipschitz == pytest.approx((1 / 14 + 1 / 9) / eps)
    for state in iterates(case, DualAscent(memory=memory), 400 if memory == 0 else 25):
        gap, size = best.high - state.value.item(), gradient(case, state).norm().item()
        assert size**2 <= 2 * lipschitz * gap + 1e-14
        violated += size > 2 * lipschitz * gap
    assert violated > 0


def test_a_step_of_plain_ascent_is_one_over_the_constant() -> None:
    case = problem(Quadratic(eps=0.4), uniform=True)
    before, after = iterates(case, DualAscent(memory=0), 1)
    moved = torch.cat([after.f - before.f, after.g - before.g])
    torch.testing.assert_close(moved, gradient(case, before) * 0.4 / (1 / 14 + 1 / 9), rtol=1e-12, atol=1e-15)


def test_a_memory_saves_steps() -> None:
    case = problem(Quadratic(eps=0.1))
    steps = [solve(case, DualAscent(memory=k), tol=1e-4, max_steps=20_000, check_every=1).steps for k in (0, 10)]
    assert steps[1] < steps[0] / 5


# Streaming


@every_smooth
@pytest.mark.parametrize("entries", [1, 30])
def test_streaming_is_the_dense_pass(cls: Smooth, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    solver, case = DualAscent(), problem(cls(eps=0.3), zeros=2)
    whole = solver.advance(case, solver.init(case), 5)
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", entries)
    monkeypatch.setattr(dual_ascent, "_KEPT_PAIRS", 0)
    blocked = solver.advance(case, solver.init(case), 5)
    one, other = (solver.potentials(case, state) for state in (whole, blocked))
    left, right = (one.f, one.g, whole.value), (other.f, other.g, blocked.value)
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-11)


@every_smooth
@every_memory
def test_the_matrix_of_a_large_problem_is_never_asked_for(cls: Smooth, memory: int, monkeypatch: Any) -> None:
    case, solver = problem(cls(eps=0.3), zeros=2), DualAscent(memory=memory)
    expected = truth(case).value
    fresh = problem(cls(eps=0.3), zeros=2)
    rows, sizes = Discrete.rows, list[int]()

    def watched(self: Discrete, part: slice, dtype: torch.dtype) -> Tensor:
        block = rows(self, part, dtype)
        sizes.append(block.numel())
        return block

    forbidden = raising(AssertionError("the dense matrix was asked for"))
    monkeypatch.setattr(Discrete, "matrix", property(forbidden))
    monkeypatch.setattr(Discrete, "rows", watched)
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", 27)
    monkeypatch.setattr(dual_ascent, "_KEPT_PAIRS", 0)
    with torch.no_grad():
        state = solver.advance(fresh, solver.init(fresh), 200)
        found = solver.potentials(fresh, state)
        assert solver.marginal_error(fresh, state) < 0.1
    assert max(sizes) == 27
    assert state.value.item() == pytest.approx(expected, rel=1e-2)
    assert bool(torch.isfinite(found.f).all() & torch.isfinite(found.g).all())


def test_columns_without_mass_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Newton, whatever the number of columns held at once."""
    case = problem(Quadratic(eps=0.3), zeros=3)
    expected = solve(case, Newton(), tol=1e-10).potentials
    for entries in (1 << 22, 14):
        monkeypatch.setattr(dual_ascent, "_COLUMN_ENTRIES", entries)
        found = solve(case, DualAscent(), tol=1e-10, max_steps=500).potentials
        shift = found.f[0] - expected.f[0]
        torch.testing.assert_close(found.g + shift, expected.g, rtol=0, atol=1e-4)


# What goes in


@every_smooth
def test_a_step_can_be_differentiated(cls: Smooth) -> None:
    """Against a difference of what the same steps give; the lengths are held constant."""
    x, y = cloud(6, 2, seed=1), cloud(5, 2, seed=2)

    def value(shift: Tensor) -> Tensor:
        case = Discrete(x + shift, y, reg=cls(eps=1.5))
        return solve(case, DualAscent(), tol=0, max_steps=3, gradient=Unroll()).value

    leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(value(leaf), leaf)
    h = torch.tensor(1e-5, dtype=torch.float64)
    assert found.item() == pytest.approx(((value(h) - value(-h)) / (2 * h)).item(), rel=1e-6)


def test_kl_from_a_start_that_overflows() -> None:
    case = problem(KL(eps=1e-3))
    solution = solve(case, DualAscent(), tol=0, max_steps=50)
    assert bool(torch.isfinite(solution.potentials.g).all())
    assert solution.lower.item() <= truth(case).high + 1e-12


@pytest.mark.parametrize("setting", [{"memory": -1}, {"memory": 1.5}, {"trials": 0}])
def test_settings_that_are_none_are_refused(setting: dict[str, int]) -> None:
    refused(r"whole number", DualAscent, **setting)
