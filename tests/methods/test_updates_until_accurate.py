"""The updates of SWGAN's potentials: at least one a step, until a test is met; and the tests cost no more than they."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from cases.checkpoints import sum_again
from cases.checks import same
from otgen.errors import RenamedWarning
from otgen.methods import SWGAN, Adam, DualOracle, Player, SWGANSinkhorn
from otgen.methods.neural_potentials import Cloud, Clouds, DualAccuracy, DualProblem, DualState, Work
from otgen.nets import MlpCritic
from otgen.ot import KL, MarginalError, MeanMass, RelGap, SqEuclidean, Steps, Stopping
from otgen.renamed import updated, updated_words
from otgen.train import Trainer, checkpoint

NET = MlpCritic(widths=(8,))
ORACLE = DualOracle(f=NET, g=NET, most=4, optimizer=Adam(lr=0.03))
PLAIN = SWGAN(batch=16, support=16, cost=SqEuclidean(), reg=KL(eps=4.0), oracle=ORACLE, report_every=100)
TESTS: dict[str, Stopping] = {
    "(25)": MarginalError(0.4),
    "(26)": MeanMass(0.15),
    "gap": RelGap(0.05),
    "count": Steps(),
}
every_stop = pytest.mark.parametrize("until", TESTS.values(), ids=TESTS)
every_test = pytest.mark.parametrize("until", [t for t in TESTS.values() if t != Steps()], ids=list(TESTS)[:3])


@dataclass(frozen=True)
class Watched(Stopping):
    """Another test, which notes what each test has cost, and that it was due."""

    test: Stopping
    costs: list[Work]

    @override
    def met(self, iterate: Any) -> bool:
        assert iterate.state.test_work.within(iterate.state.update_work)
        found = self.test.met(iterate)
        self.costs.append(iterate.work)
        return found

    @override
    def missed(self, iterate: Any) -> str:
        return self.test.missed(iterate)


def stepped(at_work: Trainer, steps: int, update: Any = None) -> list[int]:
    """The updates of each step."""
    method: Any = at_work.config.method
    state = at_work.state.method
    values = [method.step(state, at_work.batches, update or at_work.update).values for _ in range(steps)]
    return [int(value["dual_steps"]) for value in values]


@every_stop
def test_at_least_one_update_a_step_and_at_most_the_cap(until: Stopping, trainer: Any) -> None:
    costs: list[Work] = []
    watched = until if until == Steps() else Watched(until, costs)
    at_work = trainer(replace(PLAIN, oracle=replace(ORACLE, until=watched)))
    spent = stepped(at_work, 30)
    cross: DualState = at_work.state.method.cross
    assert set(spent) <= set(range(1, 5))
    assert cross.updates == sum(spent)
    assert cross.update_work == Work(3 * 32 * sum(spent), 2 * 16**2 * sum(spent))
    # One number of updates is no stop: each test ended some steps early and not others.
    assert (set(spent) == {4}) == (until == Steps())
    total = Work()
    for cost in costs:
        total.add(cost)
    assert cross.test_work == total
    largest = Work(*(max((getattr(c, name) for c in costs), default=0) for name in ("samples", "pairs")))
    largest.add(cross.update_work)
    assert total.within(largest)


def near(n: int, m: int) -> DualProblem:
    """Two samples of one law, the support of n and the batches of m points."""
    rng = torch.Generator().manual_seed(0)

    def cloud(count: int) -> Cloud:
        return Cloud.of(torch.randn(count, 2, generator=rng))

    def draw(count: int) -> Iterator[Clouds]:
        return ((cloud(m), cloud(m)) for _ in range(count))

    support = cloud(n), cloud(n)
    return DualProblem(SqEuclidean(), KL(eps=2.0), draw, lambda: support, m)


def still(player: Player, loss: Tensor) -> None:
    """An update that moves nothing."""


def test_the_last_answer_stands_until_a_test_is_due() -> None:
    # A test costs 64^2 pairs, an update 2 x 8^2: the second test is due after 32 updates.
    for tol, each in ((1e-6, 4), (1e6, 1)):
        costs: list[Work] = []
        oracle = replace(ORACLE, until=Watched(MarginalError(tol), costs))
        problem, state = near(64, 8), oracle.pair("potentials", torch.device("cpu"), (2,), (2,))
        tests = []
        for _ in range(32 // each):
            assert oracle.ascend(state, problem, still) == each
            tests.append(len(costs))
        assert state.accurate == (each == 1)
        assert tests == [1] * (32 // each - 1) + [2]


def test_a_test_costs_what_it_has_evaluated() -> None:
    problem, state = near(64, 8), ORACLE.pair("potentials", torch.device("cpu"), (2,), (2,))
    for name, work in (("marginal_error", Work(128, 64**2)), ("mean_mass", Work(16, 8))):
        accuracy = DualAccuracy(state, problem)
        assert accuracy.work == Work()
        assert getattr(accuracy, name) == getattr(accuracy, name)
        assert accuracy.work == work
    accuracy = DualAccuracy(state, problem)
    assert accuracy.rel_gap > 0
    assert accuracy.work.samples == 128
    passes, left = divmod(accuracy.work.pairs, 64**2)
    assert (passes > 1, left) == (True, 0)


def test_a_fixed_count_draws_its_batches_at_once_and_tests_nothing() -> None:
    drawn: list[int] = []
    whole = near(64, 8)

    def draw(count: int) -> Iterator[Clouds]:
        drawn.append(count)
        return whole.draw(count)

    oracle = replace(ORACLE, until=Steps())
    state = oracle.pair("potentials", torch.device("cpu"), (2,), (2,))
    oracle.ascend(state, replace(whole, draw=draw, support=lambda: pytest.fail("a test")), still)
    assert drawn == [4]


def _all(state: Any) -> list[Tensor]:
    parts = [*state.generator.module.parameters(), *state.cross.player.module.parameters()]
    return [p.detach().clone() for p in parts]


@every_stop
def test_a_run_goes_on_with_the_last_answer_and_what_was_spent(until: Stopping, trainer: Any, tmp_path: Path) -> None:
    method = replace(PLAIN, oracle=replace(ORACLE, until=until))
    straight, first, second = (trainer(method) for _ in range(3))
    wanted = stepped(straight, 12)
    before = stepped(first, 7)
    saved = checkpoint.save(tmp_path, first.state, first.shapes, keep=1)
    checkpoint.load(saved, second.state)
    assert before + stepped(second, 5) == wanted
    assert same(_all(second.state.method), _all(straight.state.method))
    for name in ("accurate", "update_work", "test_work", "updates"):
        assert getattr(second.state.method.cross, name) == getattr(straight.state.method.cross, name)


def test_a_checkpoint_of_an_earlier_version_starts_with_nothing_spent(trainer: Any, tmp_path: Path) -> None:
    method = SWGANSinkhorn(batch=8, support=16, cost=SqEuclidean(), reg=KL(eps=2.0), oracle=ORACLE)
    first, second = trainer(method), trainer(method)
    stepped(first, 3)
    saved = checkpoint.save(tmp_path, first.state, first.shapes, keep=1)
    about = json.loads((saved / "state.json").read_text())
    added = [name for name in about["numbers"] if name.endswith(".accurate") or "_work." in name]
    assert len(added) == 10
    for name in added:
        del about["numbers"][name]
    (saved / "state.json").write_text(json.dumps(about))
    sum_again(saved)
    checkpoint.load(saved, second.state)
    state = second.state.method
    assert (state.cross.updates, state.cross.accurate) == (first.state.method.cross.updates, False)
    assert (state.own.update_work, state.own.test_work) == (Work(), Work())
    stepped(second, 1)


def test_an_option_that_is_gone_is_passed_over_with_a_warning() -> None:
    with pytest.warns(RenamedWarning, match=r"DualOracle\(check_every=\.\.\.\) is gone"):
        assert DualOracle(most=3, check_every=2) == DualOracle(most=3)  # type: ignore[call-arg]
    with pytest.warns(RenamedWarning, match="check_every of DualOracle is gone"):
        assert updated({"oracle": {"check_every": 5, "most": 3}}, SWGAN) == {"oracle": {"most": 3}}
    for words in (["--method.oracle.check_every", "5"], ["--method.oracle.init_args.check_every=5"]):
        current, notes = updated_words([*words, "--method.oracle.most", "3"])
        assert (current, len(notes)) == (["--method.oracle.most", "3"], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert updated_words(["--method.check_every", "5"])[0] == ["--method.check_every", "5"]
