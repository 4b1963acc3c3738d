"""The loop: guards, average, budget, hooks."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases.errors import input_error
from cases.runs import contains
from cases.trainers import AfterStep, Start, poison, resumed, signals_at, to_end
from otgen.errors import NumericalError
from otgen.methods import Adam, FeatureGame, LearntFeatures, Logged, Player
from otgen.nets import MlpGenerator
from otgen.train import Device, Ending, RunConfig, RunDir, Trainer, checkpoint
from otgen.train.config import Duration
from otgen.train.hooks import Log
from otgen.train.state import average_of, update_average


def _everything(trainer: Trainer, *players: str) -> dict[str, Tensor]:
    state: Any = trainer.state.method
    found: dict[str, Tensor] = {}
    for name in players:
        player = getattr(state, name)
        found |= {f"{name}.{key}": value.clone() for key, value in player.module.named_parameters()}
        for index, entries in player.optimizer.state_dict()["state"].items():
            found |= {f"{name}.{index}.{key}": value.clone() for key, value in entries.items()}
    return found


def _lr(trainer: Trainer) -> float:
    rate: float = trainer.state.method.generator.optimizer.param_groups[0]["lr"]
    return rate


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize("tensor", [None, "1.weight"])
def test_what_is_not_finite_stops_the_run(
    tensor: str | None, player: str, bad: float, learnt: RunConfig, start: Start, contents: Any
) -> None:
    config = replace(learnt, trainer=replace(learnt.trainer, checkpoint_every=2))
    trainer = start(config)
    poison(trainer, 4, player, bad, tensor)
    at_three: dict[str, Tensor] = {}

    def note(trainer: Trainer, logged: Logged) -> None:
        if trainer.state.step == 3:
            at_three.update(_everything(trainer, "critic", "generator"))

    trainer.hooks = (*trainer.hooks, AfterStep(note, end=lambda *_: pytest.fail("a run that failed has no end")))
    with pytest.raises(NumericalError) as caught:
        trainer.train()
    message = str(caught.value)
    assert message.startswith(f"step 4, {player}: ")
    assert ("the loss is" if tensor is None else f"the gradient of {tensor} ") in message
    contains(message, "the last checkpoint is untouched", "lower the step size")
    assert trainer.state.step == 3
    # Neither the weights of the player at fault nor its moments have moved; those of the other are finite.
    safe = ("critic", "generator") if player == "critic" else ("generator",)
    now = _everything(trainer, *safe)
    assert all(torch.equal(at_three[name], value) for name, value in now.items())
    assert all(bool(torch.isfinite(v).all()) for v in _everything(trainer, "critic", "generator").values())
    assert [p.name for p in checkpoint.checkpoints(trainer.run.checkpoints)] == ["step_00000000", "step_00000002"]
    assert resumed(config, trainer).state.step == 2


def test_the_guard_lets_large_finite_gradients_pass(tiny: RunConfig, start: Start) -> None:
    trainer = start(tiny)
    module = nn.Linear(2, 1)
    player = Player("generator", module, torch.optim.SGD(module.parameters(), lr=1e-38))
    before = module.weight.detach().clone()
    # Each entry is finite, their sum is not.
    trainer.update(player, (module.weight * 3e38).sum())
    torch.testing.assert_close(module.weight.detach(), before - 3.0)


def test_parameters_outside_the_loss_are_left_alone(tiny: RunConfig, start: Start) -> None:
    trainer = start(tiny)
    module = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1), "frozen": nn.Linear(2, 1)})
    module["frozen"].requires_grad_(False)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    trainer.update(Player("critic", module, Adam().build(module)), module["used"](torch.ones(3, 2)).sum())
    changed = {name for name, p in module.named_parameters() if not torch.equal(before[name], p.detach())}
    assert changed == {"used.weight", "used.bias"}


def test_a_diverging_run_is_reported_as_such(tiny: RunConfig, start: Start) -> None:
    """What users meet: the step size is too large, the generator's output leaves the finite numbers."""
    method = replace(tiny.method, generator_optimizer=Adam(lr=1e30))
    trainer = start(replace(tiny, generator=MlpGenerator(widths=(6,)), method=method))
    with pytest.raises(NumericalError, match=r"step \d+.*(generator|loss)"):
        trainer.train()


def test_the_average_follows_its_formula(tiny: RunConfig, start: Start) -> None:
    trainer = start(replace(tiny, trainer=replace(tiny.trainer, ema=0.25)))
    expected = [p.detach().double().clone() for p in trainer.state.ema.parameters()]
    generator = trainer.state.method.generator.module
    assert all(torch.equal(a, b) for a, b in zip(trainer.state.ema.parameters(), generator.parameters(), strict=True))

    def average(trainer: Trainer, logged: Logged) -> None:
        t = trainer.state.step
        d = min(0.25, (1 + t) / (10 + t))
        for mean, p in zip(expected, generator.parameters(), strict=True):
            mean.mul_(d).add_(p.detach().double(), alpha=1 - d)

    trainer.hooks = (AfterStep(average),)
    trainer.train()
    for mean, p in zip(expected, trainer.state.ema.parameters(), strict=True):
        torch.testing.assert_close(p, mean.float(), rtol=1e-5, atol=1e-6)
        assert not p.requires_grad
    for mean, b in zip(trainer.state.ema.buffers(), generator.buffers(), strict=True):
        assert torch.equal(mean, b)


def test_the_average_needs_both_its_decays() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = average_of(module)
    with torch.no_grad():
        average.weight.fill_(0.0)
        module.weight.fill_(1.0)
    update_average(average, module, 0.99, 1)  # early: d = 2/11
    assert float(average.weight) == pytest.approx(9 / 11)
    update_average(average, module, 0.5, 10**6)  # late: d = decay
    assert float(average.weight) == pytest.approx(1 - (2 / 11) * 0.5)


def test_no_average_is_the_generator(tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(replace(tiny, trainer=replace(tiny.trainer, ema=0.0))))
    for name, value in trainer.state.method.generator.module.state_dict().items():
        torch.testing.assert_close(trainer.state.ema.state_dict()[name], value)


def test_a_budget_ends_the_run(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))  # every step takes one second
    trainer = start(replace(tiny, steps=None, budget=Duration(5)))
    seen: list[float] = []
    trainer.hooks = (*trainer.hooks, AfterStep(lambda trainer, _: seen.append(trainer.progress)))
    assert trainer.train() is Ending.FINISHED
    assert seen == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert trainer.state.elapsed == 5
    # The time already spent is saved with the run.
    again = to_end(resumed(replace(tiny, steps=None, budget=Duration(7)), trainer))
    assert again.state.step == 7


def test_a_falling_step_size_follows_the_run(tiny: RunConfig, start: Start) -> None:
    falling = Adam(lr=0.5, hold=0.25, end=0.2)
    seen: list[float] = []
    config = replace(tiny, method=replace(tiny.method, generator_optimizer=falling), steps=8)
    to_end(start(config, hooks=[AfterStep(lambda trainer, _: seen.append(_lr(trainer)))]))
    assert seen == [falling.lr_at(step / 8) for step in range(8)]
    assert seen[:3] == [0.5] * 3  # steps 1 to 3 begin within the first quarter
    assert seen[3] > seen[4] > seen[7] > 0.1


def test_a_falling_step_size_goes_on_after_a_resume(tiny: RunConfig, start: Start) -> None:
    falling = Adam(lr=0.01, end=0.1)
    tiny = replace(tiny, method=replace(tiny.method, generator_optimizer=falling))
    whole, half = start(tiny, "whole"), start(tiny, "half")
    whole.train()
    half.hooks = (signals_at(4, signal.SIGINT), *half.hooks)
    assert half.train() is Ending.INTERRUPTED
    other = to_end(resumed(tiny, half))
    assert _lr(other) == falling.lr_at(7 / 8)
    assert _everything(whole, "generator").keys() == _everything(other, "generator").keys()
    assert all(torch.equal(v, _everything(other, "generator")[k]) for k, v in _everything(whole, "generator").items())


def test_a_budget_is_overrun_by_no_more_than_a_step(tiny: RunConfig, start: Start) -> None:
    steps: list[float] = []
    look = AfterStep(lambda trainer, _: steps.append(trainer.state.elapsed))
    to_end(start(replace(tiny, steps=None, budget=Duration(0.1)), hooks=[look]))
    assert steps[-1] >= 0.1
    assert all(elapsed < 0.1 for elapsed in steps[:-1])


def test_a_run_in_another_thread_trains_too(tiny: RunConfig, start: Start) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(start(tiny).train).result() is Ending.FINISHED


def test_hooks_see_every_step_once_and_the_end_once(tiny: RunConfig, start: Start) -> None:
    seen: list[Any] = []
    steps = AfterStep(
        lambda trainer, _: seen.append(trainer.state.step), lambda _, logged: seen.append(("end", logged is not None))
    )
    trainer = to_end(start(tiny, hooks=[steps]))
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, ("end", True)]
    seen.clear()
    trainer.train()  # nothing is left to do
    assert seen == [("end", False)]


def test_updates_of_all_but_the_generator_are_counted(config: RunConfig, start: Start) -> None:
    duals: list[int] = []
    trainer = start(config, hooks=[AfterStep(lambda _, logged: duals.append(int(logged.values.get("dual_steps", 0))))])
    trainer.train()
    method = config.method
    game = isinstance(method, FeatureGame)
    updates = sum(method.critic_updates(step) if game else getattr(method, "n_critic", 0) for step in range(8))
    learnt = getattr(config.method, "features", None)
    features = sum(learnt.due(step) for step in range(trainer.state.step)) if isinstance(learnt, LearntFeatures) else 0
    assert trainer.state.step == 8
    assert trainer.state.critic_updates == updates + sum(duals) + features
    assert (trainer.state.critic_updates > 0) == (type(config.method).__name__ != "PixelSinkhorn")


def test_a_trainer_writes_nothing_by_itself(tiny: RunConfig, tmp_path: Path) -> None:
    to_end(Trainer(tiny, RunDir(tmp_path / "nowhere")))
    assert list(tmp_path.iterdir()) == []


def test_the_seed_alone_makes_the_initial_weights(tiny: RunConfig, tmp_path: Path) -> None:
    def weights(seed: int) -> Tensor:
        trainer = Trainer(replace(tiny, seed=seed), RunDir(tmp_path))
        return torch.cat([p.detach().flatten() for p in trainer.state.method.generator.module.parameters()])

    one = weights(3)
    torch.manual_seed(11)
    assert torch.equal(one, weights(3))
    assert not torch.equal(one, weights(4))


def test_threads_are_what_the_configuration_says(tiny: RunConfig, tmp_path: Path) -> None:
    for asked, used in ((2, 2), (0, 2), (1, 1)):
        Trainer(replace(tiny, trainer=replace(tiny.trainer, threads=asked)), RunDir(tmp_path))
        assert torch.get_num_threads() == used


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what is asked for")
def test_a_missing_device_is_named(tiny: RunConfig, tmp_path: Path) -> None:
    config = replace(tiny, trainer=replace(tiny.trainer, device=Device.CUDA))
    input_error("cuda", Trainer, config, RunDir(tmp_path))


def test_the_last_line_is_logged_once(tiny: RunConfig, start: Start) -> None:
    for every, expected in ((4, [4, 8]), (3, [3, 6, 8]), (100, [8])):
        config = replace(tiny, trainer=replace(tiny.trainer, log_every=every))
        trainer = to_end(start(config, f"every{every}", [Log()]))
        assert [line["step"] for line in trainer.run.read_metrics()] == expected
