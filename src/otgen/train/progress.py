"""Progress of a run, live on a terminal and as plain lines elsewhere: rate, time left, loss and its interval."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from otgen.methods import Logged
from otgen.ot.core.interval import numbers_text
from otgen.train.console import Console
from otgen.train.curve import Curve, allowed_seconds
from otgen.train.evaluation_time import about, expected_seconds, slowed
from otgen.train.hooks import Log
from otgen.train.trainer import Trainer

# Seconds between two plain lines.
_PLAIN_EVERY = 10.0
_REDRAW_EVERY = 0.2


class ProgressLine:
    """Shows the progress of training.

    Args:
        log: the log that holds the newest interval.
        console: where to print.
        beside: maps the seconds that the run has left to a text that is added to the line.
        curve: the small evaluations of the run, for a run whose end is evaluated when it is over: the line then tells
            what comes on top of the training.
    """

    def __init__(
        self,
        log: Log,
        console: Console | None = None,
        beside: Callable[[float], str] | None = None,
        curve: Curve | None = None,
    ) -> None:
        self.log = log
        self.curve = curve
        self.beside = beside
        self.console = Console() if console is None else console
        self._bar: Progress | None = None
        self._shown = 0.0
        # At the first step shown: the wall-clock time, the steps and the seconds of training.
        self._began: tuple[float, int, float] | None = None
        self._steps_per_second = 0.0
        # Pictures and checkpoints take time that a budget does not count.
        self._wall_per_training = 1.0
        # Of the evaluation at the end; and the seconds of computing until the first step shown.
        self._expected: float | None = None
        self._slowed, self._computed = 1.0, 0.0

    def at_start(self, trainer: Trainer) -> None:
        """Say what the length of the run does not count."""
        if self.curve is None:
            return
        config = trainer.config
        self._expected = expected_seconds(config.trainer.eval_samples, trainer.data, self.curve.ruler)
        state, whole = trainer.state, config.budget is None
        length = f"{config.steps} steps" if config.budget is None else span(config.budget)
        done = f" ({state.step if whole else span(round(state.elapsed))} done)" if state.step else ""
        small = config.trainer.curve_points if self.curve.ruler is not None else 0
        most = (
            "at most 5 % of its time" if config.budget is None else f"at most {about(allowed_seconds(config.budget))}"
        )
        extra = ["pictures", "checkpoints", *([f"{small} small evaluations ({most})"] if small else [])]
        end = f"the evaluation of the end (about {self._evaluating})"
        self._say(f"{length} of training{done}; on top of that come {', '.join(extra)} and {end}.")

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Redraw, at a limited rate."""
        now, state = time.monotonic(), trainer.state
        if self._began is None:
            self._began, self._computed = (now, state.step, state.elapsed), time.process_time()
        else:
            began, step, elapsed = self._began
            wall = max(now - began, 1e-9)
            self._steps_per_second = (state.step - step) / wall
            if trainer.device.type == "cpu":
                self._slowed = slowed(wall, time.process_time() - self._computed)
            if state.elapsed > elapsed:
                self._wall_per_training = max(1.0, wall / (state.elapsed - elapsed))
        live = self.console.is_terminal
        if now - self._shown >= (_REDRAW_EVERY if live else _PLAIN_EVERY):
            self._show(trainer, live)
            self._shown = now

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Print a last line, which stays."""
        self._show(trainer, self._bar is not None)
        if self._evaluating and trainer.progress >= 1:
            self._say(f"Evaluating {trainer.config.trainer.eval_samples} samples, about {self._evaluating}.")

    @property
    def _evaluating(self) -> str:
        """How long the evaluation at the end will take; empty where there is none."""
        return "" if self._expected is None else about(self._expected * self._slowed)

    def interrupted(self, trainer: Trainer) -> None:
        """Say what the process is waiting for."""
        step = trainer.state.step + 1
        self._say(f"Interrupted: step {step} is being finished, then saved. Once more: stop at once and save nothing.")

    def close(self) -> None:
        """Give the terminal its cursor back."""
        with self._unheard():
            if self._bar is not None:
                self._bar.stop()

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        """Whoever read may have left, or the terminal may be gone: training goes on, and is saved."""
        try:
            yield
        except OSError:
            self._bar = None
            self.console = Console(file=io.StringIO())

    def _say(self, text: str) -> None:
        with self._unheard():
            self.console.print(text, highlight=False, soft_wrap=True)

    def _show(self, trainer: Trainer, live: bool) -> None:
        with self._unheard():
            self._shown_as(self._text(trainer), trainer, live)

    def _shown_as(self, text: str, trainer: Trainer, live: bool) -> None:
        if not live:
            self._say(text)
            return
        if self._bar is None:
            columns = BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}")
            self._bar = Progress(*columns, console=self.console)
            self._bar.start()
            self._bar.add_task("", total=1.0)
        self._bar.update(self._bar.task_ids[0], completed=trainer.progress, description=text)

    def _text(self, trainer: Trainer) -> str:
        config, state = trainer.config, trainer.state
        parts = [f"step {state.step}" if config.steps is None else f"step {state.step}/{config.steps}"]
        if self._steps_per_second > 0:
            if config.steps is not None:
                left = (config.steps - state.step) / max(self._steps_per_second, 1e-9)
            else:
                assert config.budget is not None
                left = max(0.0, config.budget - state.elapsed) * self._wall_per_training
            then = f", then about {self._evaluating} of evaluating" if self._evaluating and trainer.progress < 1 else ""
            parts += [f"{self._steps_per_second:.1f} steps/s", f"{clock(left)} left{then}"]
            if self.beside is not None:
                parts.append(self.beside(left))
        return ", ".join(filter(None, [*parts, loss_text(self.log.last or {})]))


def loss_text(record: dict[str, Any]) -> str | None:
    """``loss 2.609 in [2.608, 2.611]`` from a line of metrics; None if the line has no loss.

    The interval of a neural dual is that of an exact solve, so the gap of its potentials is added: how far their dual
    value is below the batch's, relative to it.
    """
    if record.get("loss") is None:
        return None
    if record.get("lower") is None:
        return f"loss {record['loss']:.4g}"
    text = f"loss {numbers_text(record['loss'], record['lower'], record['upper'])}"
    if record.get("dual_gap") is None or not record.get("value"):
        return text
    return f"{text}, potentials' gap {100 * record['dual_gap'] / abs(record['value']):.2g} %"


def span(seconds: float) -> str:
    """Seconds as one says them: ``90 s``, ``20 min``."""
    return f"{seconds / 60:g} min" if seconds >= 600 and seconds % 60 == 0 else f"{seconds:g} s"


def clock(seconds: float) -> str:
    """Format seconds as ``1:30`` or ``2:05:00``."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
