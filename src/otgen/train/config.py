"""The configuration of a run: nested frozen dataclasses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import sys
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jsonargparse.typing import register_type

from otgen import data, methods, nets, ot
from otgen.data import Digits, FiniteSource, Normal, Source, training_part
from otgen.errors import InputError
from otgen.methods import Method, PixelSinkhorn
from otgen.nets import GeneratorNet, MlpGenerator
from otgen.ot import Relative


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class AverageStatistics(StrEnum):
    """Where the moving average of a generator with batch normalisation takes its statistics from."""

    COPIED = "copied"
    """Copied from the generator, after each step. They do not quite fit the averaged weights, the less so the faster
    these move."""
    MEASURED = "measured"
    """Measured on samples of the average itself, at steps that are powers of two or multiples of 500, and at the end:
    a share of about 0.01 of the training time, which no budget counts."""


class Duration(float):
    """Seconds, written ``90``, ``150s``, ``2m`` or ``1h``."""

    _PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(s|m|h)?\s*")
    _SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

    @classmethod
    def parse(cls, text: Any) -> Duration:
        """Parse a string or a number."""
        match = cls._PATTERN.fullmatch(str(text))
        if match is None or not 0 < float(match[1]) < math.inf:
            raise ValueError(f"not a duration: {text!r}; write 90, 150s, 2m or 1h")
        return cls(float(match[1]) * cls._SECONDS[match[2]])

    def __str__(self) -> str:
        return f"{float(self)!r}s"


def parse_relative(text: Any) -> Relative:
    """Parse ``0.05*mean``, a weight relative to the mean cost."""
    if isinstance(text, dict) and set(text) == {"factor"}:  # how jsonargparse hands over a default
        return Relative(**text)
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*\*\s*mean\s*", str(text))
    if match is None:
        raise ValueError(f"not a relative weight: {text!r}; write for example 0.05*mean")
    return Relative(float(match[1]))


def register_enum(cls: type[StrEnum]) -> None:
    """Make jsonargparse read and write a StrEnum by its values instead of the names of its members."""

    def member(text: Any) -> StrEnum:
        try:
            return cls(text)
        except ValueError:
            raise ValueError(f"{text!r} is none of {', '.join(m.value for m in cls)}") from None

    register_type(cls, str, member)


register_type(Duration, str, Duration.parse)
register_type(Relative, str, parse_relative)
_exported = [getattr(package, name) for package in (data, nets, methods, ot) for name in package.__all__]
for _component in (Device, AverageStatistics, *_exported):
    if isinstance(_component, type) and issubclass(_component, StrEnum):
        register_enum(_component)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How a run is executed; beyond roundoff, these settings change no weights but those of the moving average.

    Attributes:
        ema: decay per step of the generator's exponential moving average.
        ema_statistics: where its batch statistics come from.
        log_every: steps between two lines of metrics.jsonl, each with a certified interval.
        sample_every: steps between two pictures of samples.
        checkpoint_every: steps between two checkpoints.
        save_seconds: seconds after which a checkpoint is saved and a picture drawn in any case; 0: by steps alone.
        keep: number of newest checkpoints to keep.
        eval_every: steps between two evaluations; 0 evaluates at the end only.
        eval_points: number of evaluations, evenly over the run's steps or budget, the last one at its end; 0 for none.
        eval_samples: samples drawn per evaluation.
        curve_points: number of small evaluations, of 500 samples at most, for the curve that the verdict reads;
            likewise spread over the run. Left out where they would take more than 5 % of its time, or where
            eval_points is as many.
        tensorboard: whether to write metrics and pictures for TensorBoard too, to the folder tb of the run.
        device: where to train.
        threads: CPU threads; 0 leaves PyTorch's choice. Weights are reproducible for a fixed number of them.
    """

    ema: float = 0.99
    ema_statistics: AverageStatistics = AverageStatistics.COPIED
    log_every: int = 50
    sample_every: int = 500
    checkpoint_every: int = 500
    save_seconds: float = 30.0
    keep: int = 2
    eval_every: int = 0
    eval_points: int = 0
    eval_samples: int = 2000
    curve_points: int = 4
    tensorboard: bool = False
    device: Device = Device.AUTO
    threads: int = 0

    def __post_init__(self) -> None:
        counts = (self.log_every, self.sample_every, self.checkpoint_every, self.keep, self.eval_samples)
        least_0 = (self.eval_every, self.eval_points, self.curve_points, self.threads, self.save_seconds)
        if min(counts) < 1 or not min(least_0) >= 0 or not 0 <= self.ema < 1:
            raise InputError(
                "trainer: log_every, sample_every, checkpoint_every, keep and eval_samples must be at least 1, "
                "eval_every, eval_points, curve_points, threads and save_seconds at least 0 and ema in [0, 1), got "
                f"{', '.join(map(str, counts + least_0))} and {self.ema}"
            )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run.

    Attributes:
        data: the data law p.
        latent: the latent law q.
        generator: the generator's architecture.
        method: the training algorithm.
        holdout: share of a data set that is kept from training, for checks, chosen by the content of each point; a data
            set with a test split keeps that instead, and of fewer than 50 points nothing is held out.
        trainer: how the run is executed.
        seed: seed of all random streams.
        steps: number of generator steps; None if a budget is given.
        budget: training time, e.g. 150s, in place of a number of steps.
        label_weight: what a wrong label costs, where the data have labels that condition the generator. At 1 it costs
            as much as the mean squared distance between two samples; at w, w^2 times as much.
        init_from: the directory of another run, whose weights this one starts from; None for new weights.
    """

    data: Source = Digits()
    latent: Source = Normal(dim=16)
    generator: GeneratorNet = MlpGenerator()
    method: Method = PixelSinkhorn()
    holdout: float = 0.1
    trainer: TrainerConfig = TrainerConfig()
    seed: int = 0
    steps: int | None = None
    budget: Duration | None = None
    label_weight: float = 1.0
    init_from: str | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.budget is None):
            raise InputError(f"a run needs either steps or a budget, got steps={self.steps} and budget={self.budget}")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps must be at least 1, got {self.steps}")
        if not 0 <= self.holdout < 1:
            raise InputError(f"holdout is a share of the data, at least 0 and below 1, got {self.holdout}")
        if not 0 < self.label_weight < math.inf:
            raise InputError(f"label_weight must be positive, got {self.label_weight}; without labels, leave it at 1")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, got {self.seed}")

    def training_data(self) -> Source:
        """The law that the run learns: the data without what is held out, which its ``held_out()`` gives."""
        return training_part(self.data, self.holdout) if isinstance(self.data, FiniteSource) else self.data

    def progress(self, step: int, elapsed: float) -> float:
        """Fraction of the run that is done after ``step`` steps and ``elapsed`` seconds of training, in [0, 1]."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.budget is not None
        return min(1.0, elapsed / self.budget)


def plain(value: Any) -> Any:
    """A configuration as nested dictionaries, a component as its class path and arguments.

    Raises:
        InputError: something in it is no text and no number, such as a frame of pandas.
    """
    if isinstance(value, (Duration, Relative)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        for f in dataclasses.fields(value):
            # An integer given for a float is read back as a float; written as a float, the text stays the same.
            if f.type in ("float", "float | None") and type(fields[f.name]) is int:
                fields[f.name] = float(fields[f.name])
        # A component is one of several classes that a configuration may choose from.
        component = ABC in type(value).__mro__
        return {"class_path": _class_path(type(value)), "init_args": fields} if component else fields
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(f"a run's configuration cannot name its data: got {value}")
    return value


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """The differences between two configurations, one ``name: old -> new`` per value."""
    before, after = (dict(_flat(plain(config))) for config in (old, new))
    pairs = {name: (before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())}
    return [f"{name}: {one} -> {other}" for name, (one, other) in pairs.items() if one != other]


def words_for(wanted: RunConfig, given: RunConfig, parts: Sequence[str]) -> list[str]:
    """The options, as one types them, that give some components of a configuration another one's values.

    Args:
        wanted: has the values.
        given: is to have them.
        parts: the components, such as ``generator``.
    """
    words = []
    for part in parts:
        one, other = getattr(wanted, part), getattr(given, part)
        if type(one) is not type(other):
            # Another class starts from its own defaults.
            words += [f"--{part}", _word(_class_path(type(one)))]
            with contextlib.suppress(TypeError):
                other = type(one)()
        before = dict(_flat(plain(other), part))
        for name, value in _flat(plain(one), part):
            if name != f"{part}.class_path" and before.get(name, _NOTHING) != value:
                words += [f"--{name.removesuffix('.class_path')}", _word(value)]
    return words


# No value of an option.
_NOTHING = object()


def _word(value: Any) -> str:
    """A value as a word of the command."""
    if isinstance(value, str):
        return value.rpartition(".")[2] if value.startswith("otgen.") else value
    return json.dumps(value, separators=(",", ":"))


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(prefix, value)]
    pairs = []
    for key, item in value.items():
        pairs += _flat(item, prefix if key == "init_args" else ".".join(filter(None, (prefix, key))))
    return pairs


def _class_path(cls: type) -> str:
    """The shortest public name: otgen.data.Digits rather than the file it is written in."""
    parts = cls.__module__.split(".")
    for package in (".".join(parts[:k]) for k in range(1, len(parts))):
        if package != "otgen" and getattr(sys.modules.get(package), cls.__name__, None) is cls:
            return f"{package}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__name__}"
