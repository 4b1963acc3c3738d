"""A few small evaluations along a run: how far its samples are from held-out data, for the curve that a verdict reads.

An evaluation of the end may take a minute. A curve needs four numbers that compare with each other, so these take 500
samples, a part of the training data, one distance, and a few hundredths of a second to a second each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from otgen import metrics
from otgen.data import Cifar10, Cifar10Jpeg, FiniteSource, HandwrittenDigits, Source
from otgen.methods import Logged
from otgen.seeding import named_stream
from otgen.train.config import RunConfig
from otgen.train.evaluation import generate
from otgen.train.hooks import points_within, spared
from otgen.train.trainer import Trainer

# Samples of an evaluation, and real samples that it compares them with, for each of them.
_SAMPLES, _REFERENCES = 500, 2
# Fewer have no covariance.
_FEWEST = 2
# Numbers in the reference: larger samples are compared with fewer.
_MOST_NUMBERS = 20_000_000
# The part of the training time that the evaluations may take, and seconds that they may take in any case.
_MOST_PART, _LEAST_SECONDS = 0.05, 2.0


class Ruler:
    """Measures how far samples are from data, and real samples that are not among these.

    Args:
        data: the data law.
        n: samples of an evaluation.
        seed: of the choice of real samples.

    Attributes:
        references: number of real samples that are compared with.
        seconds_per_sample: what the features of a sample took; 0 for data without features of their own.
    """

    def __init__(self, data: Source, n: int, seed: int) -> None:
        reference, unseen = _real(data, n, seed)
        self.references = len(reference)
        self.seconds_per_sample = 0.0
        self._features = _features_of(data)
        self._spread = _spread(reference)
        self._detail = _detail(reference)
        self._centre = reference.flatten(1).double().mean(0)
        started = time.perf_counter()
        self._reference = self._seen(reference)
        if self._features is not None:
            self.seconds_per_sample = (time.perf_counter() - started) / len(reference)
        # The mean distance within the reference, which all energy distances share.
        self._within = 0.0 if self._features is not None else _mean_distance(self._reference.values)
        self._real = self._distance(self._seen(unseen))

    def measure(self, samples: Tensor) -> dict[str, float]:
        """``frechet``, or ``energy`` where there is no classifier of the data; the same of real samples; the spread.

        Args:
            samples: ``(n, *shape)``.

        Returns:
            Also ``spread``, the root of the samples' total variance over that of the data, and for images ``detail``:
            the mean squared difference of neighbouring pixels over that of the data's.
        """
        key = "energy" if self._features is None else "frechet"
        values = {key: self._distance(self._seen(samples)), f"{key}_real": self._real}
        if self._spread > 0:
            values["spread"] = _spread(samples) / self._spread
        if self._detail is not None and self._detail > 0:
            values["detail"] = (_detail(samples) or 0.0) / self._detail
        return values

    def _seen(self, samples: Tensor) -> metrics.Features:
        if self._features is not None:
            return self._features(samples)
        # Far from the origin float32 has few digits left for differences.
        return metrics.Features(values=samples.flatten(1).double() - self._centre, probabilities=None, name="centred")

    def _distance(self, seen: metrics.Features) -> float:
        if self._features is not None:
            return metrics.FrechetDistance()(seen, self._reference)["frechet"]
        across = _mean_distance(seen.values, self._reference.values)
        return max(0.0, 2 * across - _mean_distance(seen.values) - self._within)


def _features_of(data: Source) -> Callable[[Tensor], metrics.Features] | None:
    """The features that an evaluation compares these data by; None for the samples themselves."""
    if data.value_range != (0.0, 1.0) or not isinstance(data, HandwrittenDigits | Cifar10 | Cifar10Jpeg):
        return None
    if not isinstance(data, HandwrittenDigits):
        return metrics.CifarFeatures()
    digits = metrics.DigitFeatures()
    return lambda images: digits(data.inside(images))


def _real(data: Source, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Real samples to compare with, and other ones that stand for what a perfect generator makes."""
    rng = named_stream(seed, "curve/data")
    most = max(n, _MOST_NUMBERS // math.prod(data.shape))
    count = min(_REFERENCES * n, most)
    if not isinstance(data, FiniteSource):
        return data.sample(count, rng), data.sample(n, rng)
    unseen, order = data.held_out(), torch.randperm(data.count, generator=rng)
    if unseen is not None and unseen.count >= _FEWEST:
        return data.take(order[:count]), unseen.sample(min(n, unseen.count), rng)
    half = min(n, data.count // 2)
    return data.take(order[half : half + count]), data.take(order[:half])


def _spread(samples: Tensor) -> float:
    """The root of the total variance."""
    return math.sqrt(float(samples.flatten(1).double().var(0, correction=0).sum()))


def _detail(samples: Tensor) -> float | None:
    """The mean squared difference of neighbouring pixels of images; None for what is none."""
    if samples.ndim != 4 or min(samples.shape[2:]) < 2:
        return None
    steps = (samples[..., 1:, :] - samples[..., :-1, :], samples[..., 1:] - samples[..., :-1])
    return sum(float(step.double().square().mean()) for step in steps)


def _mean_distance(x: Tensor, y: Tensor | None = None) -> float:
    """The mean Euclidean distance of the rows of two sets, or of one set: each row to each."""
    return float(torch.cdist(x, x if y is None else y).mean())


class Curve:
    """Evaluates a little at ``curve_points`` points, evenly over the run, the last one at its end.

    Points are left out where their cost, with what they have cost, would be more than 5 % of the training time and
    more than 2 seconds. A run that is evaluated in full along the way (``eval_points``) has its curve from that.

    Attributes:
        ruler: what measures; None before the start, and for runs without such a curve.
        spent: the seconds that were spent on this.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.ruler: Ruler | None = None
        self.spent = 0.0
        self._clock = clock
        self._last = 0.0
        self._reached: int | None = None

    def at_start(self, trainer: Trainer) -> None:
        """Get ready to measure."""
        if not is_drawn(trainer.config) or not _are_enough(trainer.data):
            return
        started = self._clock()
        with spared("the curve for the verdict"):
            self.ruler = Ruler(trainer.data, _count(trainer.config), trainer.config.seed)
        self.spent += self._clock() - started

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
            started = self._clock()
            self._evaluate(trainer, self.ruler)
            self._last = self._clock() - started
            self.spent += self._last
        self._reached = due

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Do nothing: the last point is that of the last step."""

    def _allowed(self, trainer: Trainer) -> float:
        """The seconds that the curve may take in all."""
        return allowed_seconds(trainer.state.elapsed / max(trainer.progress, 1e-9))

    def _evaluate(self, trainer: Trainer, ruler: Ruler) -> None:
        config, state, n = trainer.config, trainer.state, _count(trainer.config)
        samples = generate(state.ema, config.latent, n, named_stream(config.seed, "curve/latent"))
        if trainer.data.value_range is not None:
            samples = samples.clamp(*trainer.data.value_range)
        about = {"step": state.step, "samples": n, "references": ruler.references, "elapsed": state.elapsed}
        with spared(f"the curve's point at step {state.step}"):
            trainer.run.write_curve(state.step, about | ruler.measure(samples))


def allowed_seconds(training: float) -> float:
    """The seconds that the curve of a run of so many seconds of training may take."""
    return max(_LEAST_SECONDS, _MOST_PART * training)


def is_drawn(config: RunConfig) -> bool:
    """Whether a run has a curve of small evaluations: not where it is evaluated in full at as many points."""
    settings = config.trainer
    return settings.curve_points > settings.eval_points


def _are_enough(data: Source) -> bool:
    """Whether some data can stand for generated samples, beside others to compare with."""
    return not isinstance(data, FiniteSource) or data.count >= 2 * _FEWEST


def _count(config: RunConfig) -> int:
    """Samples of a small evaluation."""
    return max(_FEWEST, min(_SAMPLES, config.trainer.eval_samples))
