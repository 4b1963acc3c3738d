"""What to try next, as a command that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otgen.data import Table
from otgen.methods import OptimizerConfig
from otgen.nets import DcganGenerator, MlpGenerator
from otgen.ot import Relative
from otgen.runs.verdict_curve import Course
from otgen.runs.verdict_distance import Level
from otgen.runs.verdict_faults import FaultKind
from otgen.train import Duration, RunConfig


@dataclass(frozen=True)
class Advice:
    """What to try next.

    Attributes:
        command: as it can be typed.
        reason: why, in a few words.
    """

    command: str
    reason: str


@dataclass(frozen=True)
class _Change:
    """A run from its start with one thing changed."""

    option: str
    value: str
    reason: str

    def advice(self, run: Path) -> Advice:
        words = ["otgen", "train", "--config", str(run / "config.yaml"), self.option, self.value]
        # The last part of the option tells the new run from the old one.
        return Advice(shlex.join([*words, "--out", f"{run}-{self.option.rpartition('.')[2].lstrip('-')}"]), self.reason)


def advice(
    config: RunConfig, run: Path, *, level: Level | None, course: Course, fault: FaultKind | None, settled: bool = False
) -> Advice:
    """What to try next on a run.

    Args:
        config: the run's configuration.
        run: its directory.
        level: how near to real its samples are; None if it is not known.
        course: where it is going.
        fault: what is wrong most; None for nothing.
        settled: whether its method ended it, so that it cannot be continued.
    """
    if level is Level.NEAR and fault is None:
        out = "rows.csv" if isinstance(config.data, Table) else "samples.npz"
        return Advice(shlex.join(["otgen", "sample", str(run), "--out", out]), "the samples are ready for use")
    if fault is FaultKind.COPIES:
        return _Change(*_length(config, 0.5), "a shorter run copies less").advice(run)
    if course in (Course.FALLING, Course.UNKNOWN) and not settled:
        why = "it still improves" if course is Course.FALLING else "more training shows whether it still improves"
        words = ["otgen", "train", "--resume", "--out", str(run), *_length(config, 2.0)]
        return Advice(shlex.join(words), why)
    changes = [*_against(fault, course, config), *_wider(config), *_smaller_steps(config)]
    if not changes:
        changes = [_Change("--seed", str(config.seed + 1), "another seed shows what was chance")]
    return changes[0].advice(run)


def _against(fault: FaultKind | None, course: Course, config: RunConfig) -> Iterator[_Change]:
    """What helps against a fault of a run that no longer improves."""
    if course is Course.RISING or fault is FaultKind.NOISE:
        yield from _smaller_steps(config)
    elif fault in (FaultKind.COLLAPSE, FaultKind.VARIETY, FaultKind.MODES, FaultKind.CLASSES, FaultKind.POINTS):
        batch = getattr(config.method, "batch", None)
        if isinstance(batch, int):
            yield _Change("--method.batch", str(2 * batch), "a larger batch holds more of what is missing")
    elif fault is FaultKind.BLUR:
        eps = getattr(getattr(config.method, "reg", None), "eps", None)
        if isinstance(eps, Relative):
            yield _Change("--method.reg.eps", f"{eps.factor / 2:g}*mean", "a smaller eps averages over less")
        elif isinstance(eps, float | int):
            yield _Change("--method.reg.eps", f"{eps / 2:g}", "a smaller eps averages over less")


def _wider(config: RunConfig) -> Iterator[_Change]:
    generator, why = config.generator, "a larger generator can show more"
    if isinstance(generator, MlpGenerator) and generator.widths:
        widths = ",".join(str(2 * width) for width in generator.widths)
        yield _Change("--generator.widths", f"[{widths}]", why)
    elif isinstance(generator, DcganGenerator):
        yield _Change("--generator.width", str(2 * generator.width), why)


def _smaller_steps(config: RunConfig) -> Iterator[_Change]:
    optimizer = getattr(config.method, "generator_optimizer", None)
    if isinstance(optimizer, OptimizerConfig):
        yield _Change("--method.generator_optimizer.lr", f"{optimizer.lr / 2:g}", "smaller steps are steadier")


def _length(config: RunConfig, times: float) -> tuple[str, str]:
    """The option for so many times the length of a run, and its value."""
    if config.budget is not None:
        return "--budget", duration_text(times * config.budget)
    assert config.steps is not None
    return "--steps", str(max(1, round(times * config.steps)))


def duration_text(seconds: float) -> str:
    """Seconds as an option is written: ``90s``, ``5m``, ``1h``, to a thousandth of a second."""
    thousandths = max(1, round(1000 * seconds))
    for unit, size in (("h", 3_600_000), ("m", 60_000)):
        if thousandths % size == 0:
            return f"{thousandths // size}{unit}"
    text = f"{thousandths / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    assert Duration.parse(text) > 0
    return text
