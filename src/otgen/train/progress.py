"""A live line on a terminal, plain lines elsewhere: rate, time left, loss and its interval."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from otgen.methods import Logged
from otgen.ot.core.interval import numbers_text
from otgen.train.hooks import Log
from otgen.train.trainer import Trainer

# Seconds between two plain lines.
_PLAIN_EVERY = 10.0
_REDRAW_EVERY = 0.2


class ProgressLine:
    """Shows how training goes.

    Args:
        log: where the newest interval is.
        console: where to show it.
        beside: what to add to the line, from the seconds that the run has left.
    """

    def __init__(self, log: Log, console: Console | None = None, beside: Callable[[float], str] | None = None) -> None:
        self.log = log
        self.beside = beside
        self.console = Console() if console is None else console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._shown = 0.0
        self._rate = _Rate()

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Redraw, not too often."""
        self._rate.note(trainer)
        now = time.monotonic()
        if self.console.is_terminal:
            if now - self._shown >= _REDRAW_EVERY:
                self._redraw(trainer)
                self._shown = now
        elif now - self._shown >= _PLAIN_EVERY:
            self.console.print(self._text(trainer), highlight=False, soft_wrap=True)
            self._shown = now

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """A last line that stays."""
        if self._bar is not None:
            self._redraw(trainer)
        else:
            self.console.print(self._text(trainer), highlight=False, soft_wrap=True)

    def interrupted(self, trainer: Trainer) -> None:
        """Say what is being waited for."""
        step = trainer.state.step + 1
        text = f"Interrupted: step {step} is being finished, then saved. Once more: stop at once and save nothing."
        self.console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal its cursor back."""
        if self._bar is not None:
            self._bar.stop()

    def _redraw(self, trainer: Trainer) -> None:
        if self._bar is None:
            percentage, text = TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}")
            self._bar = Progress(BarColumn(bar_width=24), percentage, text, console=self.console)
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0)
        assert self._task is not None
        self._bar.update(self._task, completed=trainer.progress, description=self._text(trainer))

    def _text(self, trainer: Trainer) -> str:
        steps = f"step {trainer.state.step}"
        if trainer.config.steps is not None:
            steps += f"/{trainer.config.steps}"
        parts = [steps]
        if self._rate.steps_per_second > 0:
            left = self._left(trainer)
            parts += [f"{self._rate.steps_per_second:.1f} steps/s", f"{clock(left)} left"]
            if self.beside is not None:
                parts.append(self.beside(left))
        text = loss_text(self.log.last) if self.log.last is not None else None
        return ", ".join(parts if text is None else [*parts, text])

    def _left(self, trainer: Trainer) -> float:
        config, state = trainer.config, trainer.state
        if config.budget is not None:
            training_left = max(0.0, config.budget - state.elapsed)
            # Pictures and checkpoints take time that the budget does not count.
            return training_left * self._rate.wall_per_training
        assert config.steps is not None
        return (config.steps - state.step) / max(self._rate.steps_per_second, 1e-9)


class _Rate:
    """How fast it goes, by the wall clock, in this session."""

    def __init__(self) -> None:
        self.started: tuple[float, int, float] | None = None
        self.steps_per_second = 0.0
        self.wall_per_training = 1.0

    def note(self, trainer: Trainer) -> None:
        now, state = time.monotonic(), trainer.state
        if self.started is None:
            self.started = (now, state.step, state.elapsed)
            return
        began, step, elapsed = self.started
        wall = max(now - began, 1e-9)
        self.steps_per_second = (state.step - step) / wall
        if state.elapsed > elapsed:
            self.wall_per_training = max(1.0, wall / (state.elapsed - elapsed))


def loss_text(record: dict[str, Any]) -> str | None:
    """``loss 2.609 in [2.608, 2.611]`` of a line of metrics; None where there is no loss in it."""
    if record.get("loss") is None:
        return None
    if record.get("lower") is None:
        return f"loss {record['loss']:.4g}"
    return f"loss {numbers_text(record['loss'], record['lower'], record['upper'])}"


def clock(seconds: float) -> str:
    """``1:30`` or ``2:05:00``."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
