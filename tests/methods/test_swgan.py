"""SWGAN: who moves, in which direction, how accurate the oracle is, and whether Theorem 4.1 holds."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import repeat
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.checks import everything, refusals, same
from cases.critics import BatchNormCritic
from otgen.methods import SWGAN, Adam, DualOracle, Player, SWGANSinkhorn
from otgen.methods.neural_potentials import Cloud, Clouds, DualAccuracy, DualProblem, DualState, PotentialPair
from otgen.methods.potentials_report import potentials_report
from otgen.methods.swgan import held_cost
from otgen.nets import MlpCritic, MlpGenerator
from otgen.ot import KL, L1, Discrete, MarginalError, MeanMass, Quadratic, SmoothRegulariser, SqEuclidean, Steps, solve
from otgen.ot.continuous.capped_conjugate import CappedConjugate

REGS = {"KL": KL(eps=0.5), "Quadratic": Quadratic(eps=0.5)}
every_reg = pytest.mark.parametrize("reg", REGS.values(), ids=REGS)
ORACLE = DualOracle(f=MlpCritic(widths=(8,)), g=MlpCritic(widths=(8,)), most=3, until=Steps())
PLAIN = SWGAN(batch=16, support=32, cost=SqEuclidean(), reg=KL(eps=0.5), oracle=ORACLE, report_every=1)
LOSS = SWGANSinkhorn(**{f.name: getattr(PLAIN, f.name) for f in fields(PLAIN)})
every_method = pytest.mark.parametrize("method", [PLAIN, LOSS], ids=["plain", "Sinkhorn loss"])


def players(state: Any) -> list[Player]:
    return [p for p in (state.generator, state.cross.player, state.own and state.own.player) if p is not None]


def points(n: int, m: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=rng), torch.randn(m, 2, generator=rng) * 0.7 + 0.5


class Table(nn.Module):
    """A potential of so many points, whatever they are."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(values.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.weight[: len(x)].unsqueeze(-1)


def tabled(f: Tensor, g: Tensor) -> DualState:
    pair = PotentialPair(Table(f), Table(g))
    return DualState(Player("potentials", pair, torch.optim.Adam(pair.parameters(), lr=0.05)))


def clouds(x: Tensor, y: Tensor) -> Clouds:
    return Cloud.of(x), Cloud.of(y)


def fixed(x: Tensor, y: Tensor, reg: SmoothRegulariser, cost: Any = None) -> DualProblem:
    cost = SqEuclidean() if cost is None else cost
    seen = clouds(x, y)
    return DualProblem(cost, reg, lambda count: repeat(seen, count), lambda: seen, len(x))


def unguarded(problem: DualProblem) -> CappedConjugate:
    return CappedConjugate(reg=problem.reg, exponent=80.0)


def descend(player: Player, loss: Tensor) -> None:
    player.optimizer.zero_grad()
    loss.backward()
    player.optimizer.step()


def stays(player: Player, loss: Tensor) -> None:
    """An update that moves nothing."""


@every_method
def test_each_update_changes_its_player_and_no_others_statistics(method: SWGAN, trainer: Any) -> None:
    oracle = replace(ORACLE, f=BatchNormCritic(), g=BatchNormCritic(), until=MarginalError(1e-9))
    method = replace(method, oracle=oracle)
    at_work = trainer(method, MlpGenerator(widths=(8,), batch_norm=True))
    state, order = at_work.state.method, []
    known = {p.name: everything(p) for p in players(state)}

    def update(player: Player, loss: Tensor) -> None:
        # The networks in training may have seen a batch; the others are as their own last update left them.
        for other in players(state):
            assert other.name == player.name or same(everything(other), known[other.name]), (player.name, other.name)
        before = [p.detach().clone() for p in player.module.parameters()]
        at_work.update(player, loss)
        assert not same(before, [p.detach() for p in player.module.parameters()])
        known[player.name] = everything(player)
        order.append(player.name)

    method.step(state, at_work.batches, update)
    assert order == (["potentials"] * 3 + (["own potential"] * 3 if state.own else []) + ["generator"])
    assert all(same(everything(p), known[p.name]) for p in players(state))


@every_reg
def test_an_update_of_the_potentials_raises_the_dual(reg: SmoothRegulariser) -> None:
    x, y = points(12, 9)
    problem, state = fixed(x, y, reg), ORACLE.pair("potentials", torch.device("cpu"), (2,), (2,))

    def dual() -> float:
        f, g = state.values(x, y)
        return float(f.mean() + g.mean() - reg.conjugate(f[:, None] + g - problem.costs(*clouds(x, y))).mean())

    values = [dual()]
    for _ in range(20):
        assert ORACLE.ascend(state, problem, descend) == 3
        values.append(dual())
    assert all(later > earlier for earlier, later in zip(values, values[1:], strict=False))
    assert state.updates == 60


@every_reg
def test_potentials_reach_the_value_of_a_finite_problem(reg: SmoothRegulariser) -> None:
    x, y = points(12, 9)
    oracle = replace(ORACLE, most=3000, until=MarginalError(0.02))
    state = tabled(torch.zeros(12), torch.zeros(9))
    problem = fixed(x, y, reg)
    assert oracle.ascend(state, problem, descend) < 3000
    report = potentials_report(state, problem, clouds(x, y), unguarded(problem))
    exact = solve(Discrete(x, y, reg=reg), tol=1e-6)
    assert report.value == pytest.approx(float(exact.value), rel=1e-5)
    assert report.linear == pytest.approx(float(exact.value_linear), rel=1e-4)
    assert report.dual_gap < 0.01 * report.value
    assert DualAccuracy(state, problem).rel_gap < 0.02
    assert DualAccuracy(state, problem).marginal_error == pytest.approx(report.marginal_error, rel=1e-3)


def test_a_shift_fools_the_mean_mass_and_not_the_marginals() -> None:
    x, y = points(40, 40)
    reg = KL(eps=0.5)
    rng = torch.Generator().manual_seed(1)
    f, g = torch.randn(40, generator=rng), torch.randn(40, generator=rng)
    paired = reg.density(f + g - SqEuclidean().paired(x, y)).mean()
    shifted, problem = tabled(f - reg.weight * paired.log(), g), fixed(x, y, reg)
    accuracy = DualAccuracy(shifted, problem)
    assert MeanMass(1e-4).met(accuracy)
    assert not MarginalError(0.5).met(accuracy)
    oracle = replace(ORACLE, until=MeanMass(1e-4))
    assert oracle.ascend(shifted, problem, stays) == 1
    assert replace(oracle, until=MarginalError(0.5)).ascend(shifted, problem, stays) == 3


def test_the_generator_descends_the_plans_cost_with_the_plan_held(watched: Any) -> None:
    at_work, state, batches = watched(PLAIN, fixed=True)
    codes, real = batches.latent(16), batches.real(16)
    module, gradients = state.generator.module, []

    def update(player: Player, loss: Tensor) -> None:
        if player is state.generator:
            gradients.append(torch.autograd.grad(loss, list(module.parameters())))
        else:
            at_work.update(player, loss)

    PLAIN.step(state, batches, update)
    fake = module(codes)
    f, g = state.cross.values(fake.detach(), real)
    costs = SqEuclidean()(fake, real)
    held = KL(eps=0.5).density(f[:, None] + g - costs.detach())
    expected = torch.autograd.grad((held * costs).mean(), module.parameters())
    torch.testing.assert_close(gradients[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_a_generator_step_lowers_the_exact_value(seed: int, entropic: Any, watched: Any) -> None:
    oracle = replace(ORACLE, f=MlpCritic(widths=(64,)), g=MlpCritic(widths=(64,)), most=400, optimizer=Adam(lr=1e-2))
    method = replace(PLAIN, oracle=oracle, generator_optimizer=Adam(lr=1e-3))
    at_work, state, batches = watched(method, seed=seed, fixed=True)
    codes, real = batches.latent(16), batches.real(16)
    before = entropic(state.generator.module(codes), real, 0.5)
    method.step(state, batches, at_work.update)
    assert entropic(state.generator.module(codes), real, 0.5) < before - 1e-4


@pytest.mark.parametrize("cost", [SqEuclidean(), L1()])
def test_both_sides_of_a_held_cost_move(cost: Any) -> None:
    x, y = (cloud.requires_grad_() for cloud in points(6, 5))
    density = torch.rand(6, 5, generator=torch.Generator().manual_seed(2))
    expected = torch.autograd.grad((density * cost(x, y)).mean(), (x, y))
    torch.testing.assert_close(torch.autograd.grad(held_cost(cost, density, x, y), (x, y)), expected)


def test_the_sinkhorn_loss_is_two_problems_on_five_independent_batches(trainer: Any, spy: Any) -> None:
    at_work = trainer(LOSS)
    watched = spy(at_work)
    logged = LOSS.step(at_work.state.method, watched, at_work.update)
    kinds = [kind for kind, _ in watched.drawn]
    # Each problem's batches until its next test at once; then those of the generator's own step.
    assert kinds == ["latent", "real", "latent", "latent", "latent", "real", "latent", "latent"]
    assert [len(cloud) for _, cloud in watched.drawn] == [48] * 4 + [16] * 4
    parts = [part for _, cloud in watched.drawn for part in cloud.split(16)]
    assert all(not torch.equal(one, two) for k, one in enumerate(parts) for two in parts[:k])
    assert logged.objective is not None
    certified = logged.objective()
    assert certified.weights == (2.0, -1.0)
    assert float(certified.lower) <= float(certified.value) + 1e-6 <= float(certified.upper) + 2e-6
    assert replace(LOSS, factor=1.0).terms()[1].weight == -0.5
    assert at_work.state.method.own.player.module.g is None


def test_reports_come_on_schedule_and_the_mean_runs(trainer: Any) -> None:
    method = replace(PLAIN, report_every=2)
    at_work = trainer(method)
    state, squares = at_work.state.method, []
    for step in range(5):
        values = method.step(state, at_work.batches, at_work.update).values
        assert ("dual_gap" in values) == (step % 2 == 1)
        if "dual_gap" in values:
            assert float(values["gradient_error"]) <= float(values["gradient_error_bound"])
            squares.append(float(values["gradient_error_bound"]) ** 2)
            assert float(values["gradient_bound_mean_square"]) == pytest.approx(sum(squares) / len(squares))
    assert (state.step, state.reports) == (5, 2)


def test_annealing_is_geometric_and_ends_at_the_weight(trainer: Any) -> None:
    method = replace(PLAIN, anneal_from=16.0, anneal_steps=4)
    at_work = trainer(method)
    state, seen = at_work.state.method, []
    for _ in range(6):
        seen.append(method.present_eps(state))
        method.step(state, at_work.batches, at_work.update)
    assert seen == pytest.approx([8.0, 4.0, 2.0, 1.0, 0.5, 0.5])


def test_a_relative_weight_is_resolved_once(trainer: Any) -> None:
    from otgen.ot import Relative

    state = trainer(replace(PLAIN, reg=KL(eps=Relative(0.1)))).state.method
    mean = float(SqEuclidean()(state.generator.module(state.latents), state.data).mean().detach())
    assert state.eps == pytest.approx(0.1 * mean, rel=1e-5)


def test_a_large_exponent_meets_the_guard_and_is_counted() -> None:
    x, y = points(6, 5)
    state = tabled(torch.full((6,), 40.0), torch.zeros(5))
    problem = fixed(x, y, KL(eps=0.1))
    assert ORACLE.ascend(state, problem, descend) == 3
    assert state.capped_updates == 3
    density, _ = ORACLE.density(state, problem, *clouds(x, y))
    assert float(density.max()) <= math.exp(ORACLE.guard) * (1 + 1e-5)


test_settings_that_make_no_sense_are_refused = refusals(
    [
        (lambda: SWGAN(batch=0), "at least 1"),
        (lambda: SWGAN(anneal_from=0.5), "anneal_from"),
        (lambda: SWGAN(anneal_from=2.0), "needs anneal_steps"),
        (lambda: SWGANSinkhorn(factor=0.0), "factor"),
        (lambda: DualOracle(most=0), "most"),
        (lambda: DualOracle(guard=100.0), "guard"),
    ]
)


def test_a_guarded_plan_is_judged_as_it_is_used() -> None:
    x, y = points(6, 5)
    state, problem = tabled(torch.full((6,), 3.0), torch.zeros(5)), fixed(x, y, KL(eps=0.05))
    guard = CappedConjugate(reg=problem.reg, exponent=ORACLE.guard)
    report = potentials_report(state, problem, clouds(x, y), guard)
    density, _ = ORACLE.density(state, problem, *clouds(x, y))
    by_x, _ = SqEuclidean().vjp(x.double(), y.double(), density.double() / density.numel())
    exact = solve(Discrete(x.double(), y.double(), reg=problem.reg), tol=1e-9)
    held, _ = SqEuclidean().vjp(x.double(), y.double(), exact.plan())
    assert report.gradient_error == pytest.approx(float((by_x - held).norm()), rel=1e-4)
    assert report.gradient_error <= report.gradient_error_bound < math.inf
    # Beyond float64 the dual value is minus infinity: every coupling is still as near as a coupling can be.
    far = potentials_report(tabled(torch.full((6,), 60.0), torch.zeros(5)), problem, clouds(x, y), guard)
    assert far.dual_gap == math.inf
    assert far.gradient_error <= far.gradient_error_bound < math.inf
