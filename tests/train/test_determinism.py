"""Equal seeds give equal bits; stopping, resuming and looking change nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from otgen.data import Arrays
from otgen.methods import SWGAN, KantorovichRubinstein, Logged, PixelSinkhorn
from otgen.train import Ending, RunConfig, Trainer, checkpoint
from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures

Start = Callable[..., Trainer]
Contents = Callable[[Path], dict[str, Any]]


class InterruptAt:
    """Ctrl-C during a step, as the process sees it."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        if trainer.state.step == self.step:
            os.kill(os.getpid(), self.number)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Nothing."""


def _end(trainer: Trainer) -> Path:
    trainer.train()
    return checkpoint.newest(trainer.run.checkpoints)


def _resumed(start: Start, config: RunConfig, first: Trainer) -> Trainer:
    """Another trainer, as another process would build it, that goes on where the first one stopped."""
    trainer = Trainer(config, first.run, [Checkpoints()])
    trainer.resume()
    return trainer


def test_one_seed_gives_one_run(config: RunConfig, start: Start, contents: Contents) -> None:
    one = contents(_end(start(config, "one")))
    torch.manual_seed(123)
    assert contents(_end(start(config, "other"))) == one


def test_another_seed_gives_another_run(config: RunConfig, start: Start, contents: Contents) -> None:
    one, other = (contents(_end(start(replace(config, seed=s), str(s)))) for s in (0, 1))
    if isinstance(config.method, SWGAN):
        # Its running mean is a number, and no random draw's affair to repeat.
        numbers = [saved["state.json"]["numbers"].pop("method.bound_squares") for saved in (one, other)]
        assert numbers[0] != numbers[1]
        for saved in (one, other):
            counts = saved["state.json"]["numbers"]
            for name in [name for name in counts if name.endswith(".capped_updates")]:
                del counts[name]
    assert one["state.json"] == other["state.json"]
    if isinstance(config.method, KantorovichRubinstein):
        # A potential's constant is free: the gradient of its last bias is 0 up to rounding, whatever the seed.
        for saved in (one, other):
            for moment in ("exp_avg", "exp_avg_sq"):
                del saved["state.safetensors"][f"method.critic.optimizer/3/{moment}"]
    for file in one.keys() - {"state.json"}:
        for name in one[file]:
            counters = "num_batches_tracked" in name or name.endswith("/step")
            assert (one[file][name] == other[file][name]) == counters, f"{file}: {name}"


def test_a_checkpoint_has_all_players(config: RunConfig, start: Start, contents: Contents) -> None:
    names = set(contents(_end(start(config))))
    if isinstance(config.method, SWGAN):
        critic = {"potentials.safetensors", "potentials_own.safetensors"}
        if config.method.features is not None:
            critic |= {"potentials_data.safetensors", "critic.safetensors"}
    else:
        critic = set() if isinstance(config.method, PixelSinkhorn) else {"critic.safetensors"}
    assert names == {"generator.safetensors", "generator_ema.safetensors", "state.safetensors", "state.json"} | critic


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_stopped_and_resumed_is_never_stopped(stop: int, config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    first = start(replace(config, steps=stop), "stopped")
    assert first.train() is Ending.FINISHED
    torch.manual_seed(7)  # the global stream is no part of a run
    second = _resumed(start, config, first)
    assert second.state.step == stop
    assert contents(_end(second)) == straight


def test_stopped_twice(config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    first = start(replace(config, steps=2), "stopped")
    first.train()
    second = _resumed(start, replace(config, steps=5), first)
    second.train()
    assert contents(_end(_resumed(start, config, second))) == straight


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stop", [1, 5])
def test_interrupted_and_resumed_is_never_stopped(
    stop: int, number: int, config: RunConfig, start: Start, contents: Contents
) -> None:
    straight = contents(_end(start(config, "straight")))
    first = start(config, "stopped", hooks=[InterruptAt(stop, number), Checkpoints()])
    assert first.train() is Ending.INTERRUPTED
    assert first.signal == number
    assert first.state.step == stop
    assert contents(_end(_resumed(start, config, first))) == straight


def test_resuming_from_a_scheduled_checkpoint(config: RunConfig, start: Start, contents: Contents) -> None:
    # The process died at step 5 or 6: what is left is the checkpoint of step 4.
    straight = contents(_end(start(config, "straight")))

    class Death:
        def after_step(self, trainer: Trainer, logged: Logged) -> None:
            if trainer.state.step == 6:
                raise MemoryError

        def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
            """Never reached."""

    every_four = replace(config, trainer=replace(config.trainer, checkpoint_every=4))
    first = start(every_four, "died", hooks=[Checkpoints(), Death()])
    with pytest.raises(MemoryError):
        first.train()
    second = _resumed(start, every_four, first)
    assert second.state.step == 4
    assert contents(_end(second)) == straight


def test_looking_changes_nothing(config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    busy = replace(
        config.trainer, log_every=1, sample_every=4, checkpoint_every=3, eval_every=2, eval_samples=20, keep=1
    )
    hooks = [Log(), Pictures(), Evaluations(), Checkpoints()]
    assert contents(_end(start(replace(config, trainer=busy), "busy", hooks))) == straight


def test_resuming_right_after_looking(config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    busy = replace(config.trainer, log_every=1, sample_every=4, eval_every=4, eval_samples=20)
    looking = replace(config, trainer=busy)
    hooks = [InterruptAt(4), Log(), Pictures(), Evaluations(), Checkpoints()]
    first = start(looking, "stopped", hooks)
    first.train()
    second = Trainer(looking, first.run, [Log(), Pictures(), Evaluations(), Checkpoints()])
    second.resume()
    assert contents(_end(second)) == straight
    # One line a step, none lost, none twice, and equal to those of a run that was never stopped.
    whole = start(looking, "whole", [Log()])
    whole.train()
    lines, expected = ([{**r, "elapsed": 0} for r in t.run.read_metrics()] for t in (second, whole))
    assert [r["step"] for r in lines] == list(range(1, 9))
    assert lines == expected


@pytest.mark.parametrize("lost", ["data_rng", "latent_rng"])
def test_a_lost_random_stream_would_show(lost: str, config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    first = start(replace(config, steps=4), "stopped")
    first.train()
    second = _resumed(start, config, first)
    getattr(second.state, lost).manual_seed(0)
    got = contents(_end(second))
    assert got["generator.safetensors"] != straight["generator.safetensors"]


@pytest.mark.parametrize("lost", ["optimizer", "average", "statistics"])
def test_lost_state_would_show(lost: str, config: RunConfig, start: Start, contents: Contents) -> None:
    straight = contents(_end(start(config, "straight")))
    first = start(replace(config, steps=4), "stopped")
    first.train()
    second = _resumed(start, config, first)
    generator = second.state.method.generator
    if lost == "optimizer":
        generator.optimizer.state.clear()
    elif lost == "average":
        second.state.ema.load_state_dict(generator.module.state_dict())
    else:
        generator.module[2].reset_running_stats()
    assert contents(_end(second)) != straight


@pytest.mark.parametrize("finite", [True, False])
def test_a_data_set_is_drawn_on_where_it_was_left(finite: bool, tiny: RunConfig, start: Start, tmp_path: Path) -> None:
    """Every batch of a resumed run, by itself: no first batches over again."""
    if finite:
        np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(30, 2)))
        tiny = replace(tiny, data=Arrays(path=str(tmp_path / "points.npy")))

    def drawn(trainer: Trainer) -> list[bytes]:
        seen: list[bytes] = []
        real, latent = trainer.batches.real, trainer.batches.latent

        def note(draw: Callable[[int], torch.Tensor]) -> Callable[[int], torch.Tensor]:
            def noted(n: int) -> torch.Tensor:
                cloud = draw(n)
                seen.append(cloud.numpy().tobytes())
                return cloud

            return noted

        trainer.batches.real, trainer.batches.latent = note(real), note(latent)  # type: ignore[method-assign]
        trainer.train()
        return seen

    whole = drawn(start(tiny, "whole"))
    first = start(replace(tiny, steps=3), "stopped")
    beginning = drawn(first)
    assert beginning + drawn(_resumed(start, tiny, first)) == whole
    assert len(set(whole)) == len(whole) == 16


def test_a_run_that_is_complete_takes_no_step(tiny: RunConfig, start: Start, contents: Contents) -> None:
    first = start(tiny)
    end = contents(_end(first))
    second = _resumed(start, tiny, first)
    assert second.progress == 1
    assert second.train() is Ending.FINISHED
    assert contents(checkpoint.newest(first.run.checkpoints)) == end
