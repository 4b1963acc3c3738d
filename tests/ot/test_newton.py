"""Newton's method on the semi-dual, in both forms of its linear system."""

from __future__ import annotations

import pytest
import torch

import otgen.ot.discrete.newton as newton
from cases.components import Smooth, every_smooth
from cases.random_problems import between, generator
from otgen.ot import KL, Discrete, DualAscent, Newton, Quadratic, Relative, SmoothRegulariser, default_solver, solve

# Each way of solving the Newton system, whatever the size: the least that is factorised.
SYSTEMS = {"factorised": 1 << 30, "conjugate gradients": 0}


def problem(reg: SmoothRegulariser, n: int = 60, m: int = 45, dtype: torch.dtype = torch.float64) -> Discrete:
    return between(n, m, reg, zeros=(3, 2), dtype=dtype)


@every_smooth
@pytest.mark.parametrize("factor", [1.0, 0.1, 0.01])
def test_both_systems_take_about_the_same_steps(cls: Smooth, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    case = problem(cls(eps=Relative(factor)))
    steps = []
    for least in SYSTEMS.values():
        monkeypatch.setattr(newton, "_FACTORISED", least)
        solution = solve(case, Newton(), tol=1e-8, max_steps=60, on_unconverged="raise")
        steps.append(solution.steps)
    assert abs(steps[0] - steps[1]) <= 3
    assert max(steps) <= 30


@every_smooth
def test_conjugate_gradients_solve_the_damped_system(cls: Smooth) -> None:
    case = problem(cls(eps=0.5))
    state = Newton().advance(case, Newton().init(case), 2)
    ridge = torch.tensor(1e-3, dtype=torch.float64)
    with torch.no_grad():
        dual = newton._SemiDual(case)
        exact = newton._solve(dual._hessian(state), state.gradient, dual.b, ridge)
        found = dual._by_gradients(state, ridge)
    assert found is not None
    # The residual is at most 1 % of the gradient in the system's own norm; constants do not count.
    exact, found = (torch.where(dual.b > 0, v - (dual.b * v).sum(), 0.0) for v in (exact, found))
    assert (found - exact).norm().item() <= 0.05 * exact.norm().item()


def test_a_system_that_conjugate_gradients_miss_is_factorised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_FACTORISED", 0)
    case = problem(Quadratic(eps=0.1))
    direct, solve_ = [], newton._solve
    monkeypatch.setattr(newton, "_solve", lambda *args: direct.append(1) or solve_(*args))
    plain = solve(case, Newton(), tol=1e-8, max_steps=60)
    assert not direct
    monkeypatch.setattr(newton, "_conjugate_gradients", lambda *args: None)
    missed = solve(case, Newton(), tol=1e-8, max_steps=60)
    assert len(direct) == missed.steps > 0
    assert missed.value.item() == pytest.approx(plain.value.item(), rel=1e-7)


@pytest.mark.parametrize("least", SYSTEMS.values(), ids=SYSTEMS)
@every_smooth
@pytest.mark.parametrize("entries", [45, 500])
def test_blocks_of_rows_change_nothing(cls: Smooth, entries: int, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_FACTORISED", least)
    case = problem(cls(eps=0.3))
    whole = solve(case, Newton(), tol=0, max_steps=4)
    monkeypatch.setattr("otgen.ot.discrete.side._BLOCK_ENTRIES", entries)
    blocked = solve(case, Newton(), tol=0, max_steps=4)
    # Products in float32 are summed in another order.
    torch.testing.assert_close(blocked.potentials.g, whole.potentials.g, rtol=0, atol=1e-5)
    assert blocked.value.item() == pytest.approx(whole.value.item(), rel=1e-8)


def test_float32_points_reach_a_millionth() -> None:
    for factor in (1.0, 0.1, 0.01):
        case = problem(Quadratic(eps=Relative(factor)), 320, 300, torch.float32)
        assert solve(case, Newton(), tol=1e-6, max_steps=30, on_unconverged="raise").rel_gap.item() <= 1e-6


def test_newton_is_the_default_until_its_matrices_are_large() -> None:
    small = Discrete.from_matrix(torch.zeros(4, 3), reg=Quadratic(eps=1.0))
    assert default_solver(small) == Newton()
    # No memory is touched: the costs are a view of one number.
    large = Discrete(torch.zeros(1, 1).expand(6000, 1), torch.zeros(1, 1).expand(6000, 1), reg=Quadratic(eps=1.0))
    assert default_solver(large) == DualAscent()
    tall = Discrete(torch.zeros(1, 1).expand(60_000, 1), torch.zeros(1, 1).expand(900, 1), reg=Quadratic(eps=1.0))
    assert default_solver(tall) == Newton()
    assert default_solver(large.with_reg(KL(eps=1.0))) != DualAscent()


def normal_laws(seed: int, eps: float) -> Discrete:
    """Two normal laws on grids of the same interval: weights from 0.1 down to 1e-30, costs from 0 to 1e5 times eps."""
    n, m = (50 + int(k) for k in torch.randint(0, 11, (2,), generator=generator(seed)))
    x, y = (torch.linspace(-1, 2, size, dtype=torch.float64) for size in (n, m))
    means = torch.rand(2, generator=generator(seed + 1), dtype=torch.float64)
    laws = [
        torch.softmax(-((points - mean) ** 2) / (2 * 0.18**2), 0) for points, mean in zip((x, y), means, strict=True)
    ]
    return Discrete.from_matrix((x[:, None] - y) ** 2, *laws, reg=KL(eps=eps))


@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("seed", range(4))
def test_laws_with_tiny_weights_take_tens_of_steps(seed: int, eps: float) -> None:
    """Once 1,000 steps were not enough: columns of next to no mass limited the length of every step."""
    solve(normal_laws(seed, eps), Newton(), tol=1e-10, max_steps=100, on_unconverged="raise")


@every_smooth
def test_a_step_goes_on_where_the_value_no_longer_shows_a_rise(cls: Smooth) -> None:
    # The gap of a plan that is rounded plainly is of first order in its marginal error; the value, of second.
    case = problem(cls(eps=0.3))
    state = Newton().advance(case, Newton().init(case), 40)
    assert state.stalled
    assert Newton().marginal_error(case, state) <= 1e-13


@every_smooth
def test_a_shortened_move_keeps_its_signs_and_shrinks(cls: Smooth) -> None:
    reg, move = cls(eps=0.1), torch.tensor([-1e6, -3.0, 0.0, 1e-9, 40.0], dtype=torch.float64)
    times = torch.arange(9).unsqueeze(-1)
    moves = reg.shortened(move, times)
    torch.testing.assert_close(moves[0], move)
    assert bool((moves.sign() == move.sign()).all())
    assert bool((moves.diff(dim=0) * move.sign() <= 0).all())
