"""Equal seeds give equal bits; stopping, resuming and looking change nothing."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases.trainers import Contents, Start, end, fails_at, gone_on, resumed, signals_at, to_end
from otgen.data import Arrays
from otgen.methods import SWGAN, KantorovichRubinstein, PixelSinkhorn
from otgen.train import Ending, RunConfig, Trainer, checkpoint
from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures

Run = dict[str, Any]


def test_one_seed_gives_one_run(config: RunConfig, start: Start, contents: Contents, straight: Run) -> None:
    torch.manual_seed(123)
    assert contents(end(start(config))) == straight


def test_another_seed_gives_another_run(config: RunConfig, start: Start, contents: Contents, straight: Run) -> None:
    one, other = copy.deepcopy(straight), contents(end(start(replace(config, seed=1))))
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


def test_a_checkpoint_has_all_players(config: RunConfig, straight: Run) -> None:
    if isinstance(config.method, SWGAN):
        critic = {"potentials.safetensors", "potentials_own.safetensors"}
        if config.method.features is not None:
            critic |= {"potentials_data.safetensors", "critic.safetensors"}
    else:
        critic = set() if isinstance(config.method, PixelSinkhorn) else {"critic.safetensors"}
    always = {"generator.safetensors", "generator_ema.safetensors", "state.safetensors", "state.json"}
    assert set(straight) == always | critic


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_stopped_and_resumed_is_never_stopped(
    stop: int, config: RunConfig, start: Start, contents: Contents, straight: Run
) -> None:
    first = start(replace(config, steps=stop), "stopped")
    assert first.train() is Ending.FINISHED
    torch.manual_seed(7)  # the global stream is no part of a run
    second = resumed(config, first)
    assert second.state.step == stop
    assert contents(end(second)) == straight


def test_stopped_twice(config: RunConfig, start: Start, contents: Contents, straight: Run) -> None:
    first = to_end(start(replace(config, steps=2), "stopped"))
    second = to_end(resumed(replace(config, steps=5), first))
    assert contents(end(resumed(config, second))) == straight


@pytest.mark.parametrize(("stop", "number"), [(1, signal.SIGINT), (5, signal.SIGTERM)])
def test_interrupted_and_resumed_is_never_stopped(
    stop: int, number: int, config: RunConfig, start: Start, contents: Contents, straight: Run
) -> None:
    first = start(config, "stopped", hooks=[signals_at(stop, number), Checkpoints()])
    assert first.train() is Ending.INTERRUPTED
    assert first.signal == number
    assert first.state.step == stop
    assert contents(end(resumed(config, first))) == straight


def test_resuming_from_a_scheduled_checkpoint(
    config: RunConfig, start: Start, contents: Contents, straight: Run
) -> None:
    # The process died at step 5 or 6: what is left is the checkpoint of step 4.
    every_four = replace(config, trainer=replace(config.trainer, checkpoint_every=4))
    first = start(every_four, "died", hooks=[Checkpoints(), fails_at(6, MemoryError())])
    with pytest.raises(MemoryError):
        first.train()
    second = resumed(every_four, first)
    assert second.state.step == 4
    assert contents(end(second)) == straight


@pytest.mark.parametrize(
    "config",
    [
        *("pixel", "learnt", "wgan"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("wgan-gp", "seqsgda", "ot-gan", "swgan")),
        pytest.param("swgan-features", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_looking_changes_nothing_nor_does_resuming_right_after_it(
    config: RunConfig, start: Start, contents: Contents, straight: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(config.method, PixelSinkhorn):  # samples are drawn for every method, but painted for one
        monkeypatch.setattr("otgen.train.hooks.save_picture", lambda *args, **options: True)
    busy = {"log_every": 1, "sample_every": 5, "checkpoint_every": 3, "eval_every": 4, "eval_samples": 20, "keep": 1}
    looking = replace(config, trainer=replace(config.trainer, **busy))
    hooks = (Log(), Pictures(), Evaluations(), Checkpoints())
    whole = start(looking, "whole", hooks)
    assert contents(end(whole)) == straight
    first = to_end(start(looking, "stopped", [signals_at(4, signal.SIGINT), *hooks]))
    second = gone_on(looking, first, *hooks)
    assert contents(checkpoint.newest(second.run.checkpoints)) == straight
    # One line a step, none lost, none twice, and equal to those of a run that was never stopped.
    lines, expected = ([{**r, "elapsed": 0} for r in t.run.read_metrics()] for t in (second, whole))
    assert [r["step"] for r in lines] == list(range(1, 9))
    assert lines == expected


@pytest.mark.parametrize("lost", ["data_rng", "latent_rng"])
def test_a_lost_random_stream_would_show(lost: str, halfway: Trainer, contents: Contents, straight: Run) -> None:
    getattr(halfway.state, lost).manual_seed(0)
    assert contents(end(halfway))["generator.safetensors"] != straight["generator.safetensors"]


@pytest.mark.parametrize("lost", ["optimizer", "average", "statistics"])
def test_lost_state_would_show(lost: str, halfway: Trainer, contents: Contents, straight: Run) -> None:
    generator = halfway.state.method.generator
    if lost == "optimizer":
        generator.optimizer.state.clear()
    elif lost == "average":
        halfway.state.ema.load_state_dict(generator.module.state_dict())
    else:
        generator.module[2].reset_running_stats()
    assert contents(end(halfway)) != straight


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
    assert beginning + drawn(resumed(tiny, first)) == whole
    assert len(set(whole)) == len(whole) == 16


def test_a_run_that_is_complete_takes_no_step(tiny: RunConfig, start: Start, contents: Contents) -> None:
    first = start(tiny)
    finished = contents(end(first))
    second = resumed(tiny, first)
    assert second.progress == 1
    assert second.train() is Ending.FINISHED
    assert contents(checkpoint.newest(first.run.checkpoints)) == finished


def test_threads_change_roundings_only(config: RunConfig, start: Start) -> None:
    """Reliability 26: bit for bit is promised for one number of threads; another one changes roundings."""
    before, weights = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            trainer = start(replace(config, trainer=replace(config.trainer, threads=threads)), f"{threads} threads")
            for _ in range(3):
                trainer.step()
            weights.append([p.detach().clone() for p in trainer.state.method.generator.module.parameters()])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*weights, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
