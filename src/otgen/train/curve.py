"""A few small evaluations along a run: how far its samples are from held-out data, for the curve that a verdict reads.

An evaluation of the end may take a minute. A curve needs four numbers that compare with each other, so these take 500
samples, a part of the training data, one distance, and a few hundredths of a second to a second each. Their baseline of
real samples is of as many: of fewer held-out ones the samples are compared in parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import nn

from otgen.data import FiniteSource, Source
from otgen.methods import Logged
from otgen.seeding import named_stream
from otgen.train.conditioning import of_samples
from otgen.train.config import RunConfig
from otgen.train.evaluation import generate
from otgen.train.hooks import points_within, spared
from otgen.train.ruler import FEWEST, Ruler
from otgen.train.rundir import RunDir
from otgen.train.trainer import Trainer

# Samples of an evaluation.
_SAMPLES = 500
# The part of the training time that the evaluations may take, and seconds that they may take in any case.
_MOST_PART, _LEAST_SECONDS = 0.05, 2.0
# Beside other work on the machine less passes on the second clock, on many cores on the first.
_CLOCKS = (time.perf_counter, time.process_time)


class Curve:
    """Evaluates a little at ``curve_points`` points, evenly over the run, the last one at its end.

    Points are left out where their cost, with what they have cost, would be more than 5 % of the training time and
    more than 2 seconds. A run that is evaluated in full along the way (``eval_points``) has its curve from that.

    Attributes:
        ruler: what measures; None before the start, and for runs without such a curve.
        spent: the seconds that were spent on this.
    """

    def __init__(self, clocks: Sequence[Callable[[], float]] = _CLOCKS) -> None:
        self.ruler: Ruler | None = None
        self.spent = 0.0
        self._clocks = clocks
        self._last = 0.0
        self._reached: int | None = None

    def at_start(self, trainer: Trainer) -> None:
        """Get ready to measure."""
        started = self._now()
        with spared("the curve for the verdict"):
            self.ruler = ruler_of(trainer.config, trainer.data)
        self.spent += self._since(started)

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Evaluate on schedule."""
        if self.ruler is None:
            return
        config, points = trainer.config, trainer.config.trainer.curve_points
        if self._reached is None:
            kept = [(record["step"], record.get("elapsed", 0.0)) for record in trainer.run.read_curve()]
            self._reached = max((points_within(points, config.progress(*at)) for at in kept), default=0)
        due = points_within(points, trainer.progress)
        # What the last point takes is kept for it: without it there is no trend.
        reserve = self._last * (1 if due == points else 2)
        if due > self._reached and self.spent + reserve <= self._allowed(trainer):
            started, state = self._now(), trainer.state
            with spared(f"the curve's point at step {state.step}"):
                add_point(
                    trainer.run,
                    config,
                    of_samples(state.ema),
                    trainer.laws.latent,
                    self.ruler,
                    step=state.step,
                    elapsed=state.elapsed,
                )
            self._last = self._since(started)
            self.spent += self._last
        self._reached = due

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Do nothing: the last point is that of the last step."""

    def _allowed(self, trainer: Trainer) -> float:
        """The seconds that the curve may take in all."""
        return allowed_seconds(trainer.state.elapsed / max(trainer.progress, 1e-9))

    def _now(self) -> list[float]:
        return [clock() for clock in self._clocks]

    def _since(self, started: list[float]) -> float:
        """The seconds since then, by the clock by which it is less."""
        return min(now - before for now, before in zip(self._now(), started, strict=True))


def ruler_of(config: RunConfig, data: Source) -> Ruler | None:
    """What measures the samples of a run; None if it has no curve of small evaluations, or hardly any data.

    A run that is evaluated in full at as many points has its curve from these.

    Args:
        config: the run's configuration.
        data: its training data.
    """
    settings = config.trainer
    enough = not isinstance(data, FiniteSource) or data.count >= 2 * FEWEST
    return Ruler(data, _count(config), config.seed) if enough and settings.curve_points > settings.eval_points else None


def add_point(
    run: RunDir, config: RunConfig, generator: nn.Module, latent: Source, ruler: Ruler, *, step: int, elapsed: float
) -> None:
    """Evaluate a little, and store the result in the run directory.

    Args:
        run: the run directory.
        config: its configuration.
        generator: the moving average of the generator, of samples without the codes of labels.
        latent: the law of what it reads.
        ruler: what measures.
        step: generator steps so far.
        elapsed: seconds of training so far.
    """
    n = _count(config)
    samples = generate(generator, latent, n, named_stream(config.seed, "curve/latent"))
    sizes = {"samples": n, "references": ruler.references, "matched": ruler.matched}
    about = {"step": step, **sizes, "elapsed": elapsed}
    run.write_curve(step, about | ruler.measure(samples))


def allowed_seconds(training: float) -> float:
    """The seconds that the curve of a run of so many seconds of training may take."""
    return max(_LEAST_SECONDS, _MOST_PART * training)


def _count(config: RunConfig) -> int:
    """Samples of a small evaluation."""
    return max(FEWEST, min(_SAMPLES, config.trainer.eval_samples))
