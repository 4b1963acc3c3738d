"""The loop and signals: it saves, answers at once, and leaves no handler behind."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cases.trainers import Start, poison, progress, signals_at
from otgen.errors import NumericalError
from otgen.methods import Batches, Logged, PixelSinkhorn, Update
from otgen.train import Ending, RunConfig, checkpoint
from otgen.train.hooks import Checkpoints


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_loop_and_saves(number: int, tiny: RunConfig, start: Start) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    trainer = start(tiny, hooks=[signals_at(3, number), Checkpoints()])
    assert trainer.train() is Ending.INTERRUPTED
    assert checkpoint.newest(trainer.run.checkpoints).name == "step_00000003"
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_second_signal_ends_at_once(tiny: RunConfig, start: Start) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    trainer = start(tiny, hooks=[signals_at(3, signal.SIGINT, signal.SIGINT), Checkpoints()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    # What it began with is there; nothing else was saved.
    assert [path.name for path in checkpoint.checkpoints(trainer.run.checkpoints)] == ["step_00000000"]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_signal_within_a_step_is_told_at_once(tiny: RunConfig, start: Start) -> None:
    text, _, line = progress()

    @dataclass(frozen=True, kw_only=True)
    class Slow(PixelSinkhorn):
        def step(self, state: Any, batches: Batches, update: Update) -> Logged:
            if trainer.state.step == 2:
                signal.raise_signal(signal.SIGINT)
                # Before the step is over.
                assert "Interrupted: step 3 is being finished, then saved." in text.getvalue()
            return super().step(state, batches, update)

    trainer = start(replace(tiny, method=PixelSinkhorn(batch=8)), hooks=[line, Checkpoints()])
    trainer.config = replace(trainer.config, method=Slow(batch=8))
    assert trainer.train() is Ending.INTERRUPTED
    assert text.getvalue().count("Interrupted") == 1
    assert checkpoint.newest(trainer.run.checkpoints).name == "step_00000003"


def test_handlers_are_put_back_after_an_error(tiny: RunConfig, start: Start) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    trainer = start(tiny)
    poison(trainer, 2, "generator", float("nan"), None)
    with pytest.raises(NumericalError):
        trainer.train()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
