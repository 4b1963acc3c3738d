"""What to try next, as a command that can be typed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from otgen import own_modules
from otgen.data import Table
from otgen.methods import OptimizerConfig
from otgen.nets import DcganGenerator, MlpGenerator
from otgen.ot import Relative
from otgen.runs.verdict_curve import Course
from otgen.runs.verdict_distance import Level
from otgen.runs.verdict_kinds import FaultKind
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

    def advice(self, run: Path, config: RunConfig) -> Advice:
        words = ["otgen", "train", "--config", str(run / "config.yaml"), self.option, self.value]
        if config.init_from is not None and self.option.startswith("--generator."):
            # Its networks are of the old sizes.
            words += ["--init_from", "null"]
        return Advice(shlex.join([*words, "--out", self._beside(run)]), self.reason)

    def _beside(self, run: Path) -> str:
        """Where the new run is: the last part of the option tells it from the old one, and a number from more such."""
        name = self.option.rpartition(".")[2].lstrip("-")
        again = re.fullmatch(rf"(.+-{name})(\d*)", str(run))
        return f"{run}-{name}" if again is None else f"{again[1]}{int(again[2] or 1) + 1}"


def with_own_modules(advice: Advice) -> Advice:
    """The same advice, with the folder of the user's own modules where the command that gives it has one."""
    return replace(advice, command=shlex.join([*shlex.split(advice.command), *own_modules_words()]))


def own_modules_words() -> list[str]:
    """The words that let a later command find the user's own modules that this one has found; none if it has none."""
    folder = own_modules.folder_in_use()
    return [] if folder is None else ["--plugins", os.path.relpath(folder)]


# A run of this length, in seconds or in steps, has hardly begun: half of it says nothing.
_SHORT_SECONDS, _SHORT_STEPS = 20.0, 200
# With fewer training data a larger generator has nothing more to show, and a longer training neither.
_FEW_DATA, _HARDLY_ANY_DATA = 100, 20
# A generator whose narrowest layer would be below this is not made smaller.
_NARROWEST = 4


def advice(
    config: RunConfig,
    run: Path,
    *,
    level: Level | None,
    course: Course,
    fault: FaultKind | None,
    settled: bool = False,
    few: bool = False,
    data: int | None = None,
) -> Advice:
    """What to try next on a run.

    Args:
        config: the run's configuration.
        run: its directory.
        level: how near to real its samples are; None if it is not known.
        course: where it is going.
        fault: what is wrong most; None for nothing.
        settled: whether its method ended it, so that it cannot be continued.
        few: whether there are too few held-out data to call samples near real.
        data: number of training data; None for as many as one likes.
    """
    ended = course in (Course.REACHED, Course.FLAT) and level in (None, Level.CLOSE)
    if fault is None and (level is Level.NEAR or (few and ended)):
        # Named after the run, so that those of two runs stand side by side.
        out = f"{run.resolve().name}-{'rows.csv' if isinstance(config.data, Table) else 'samples.npz'}"
        why = "nothing wrong was found: look at samples, so few held-out data tell no more"
        why = "the samples are ready for use" if level is Level.NEAR else why
        return Advice(shlex.join(["otgen", "sample", str(run), "--out", out]), why)
    if fault is FaultKind.COPIES:
        return next(_less_copying(config)).advice(run, config)
    enough = data is None or data >= _HARDLY_ANY_DATA
    if course in (Course.FALLING, Course.UNKNOWN) and enough and not settled:
        why = "it still improves" if course is Course.FALLING else "more training shows whether it still improves"
        words = ["otgen", "train", "--resume", "--out", str(run), *_length(config, 2.0)]
        return Advice(shlex.join(words), why)
    changes = [*_against(fault, course, config, data), *_wider(config, data), *_smaller_steps(config)]
    changes += _otherwise(config)
    return changes[0].advice(run, config)


def _less_copying(config: RunConfig) -> Iterator[_Change]:
    """What helps against copies: half the length of a run that is not short, else a smaller generator."""
    short = config.budget < _SHORT_SECONDS if config.budget is not None else (config.steps or 0) < _SHORT_STEPS
    if not short:
        yield _Change(*_length(config, 0.5), "a shorter run copies less")
    yield from _resized(config, 0.5, "a smaller generator copies less")
    yield from _otherwise(config)


def _otherwise(config: RunConfig) -> Iterator[_Change]:
    yield _Change("--seed", str(config.seed + 1), "another seed shows what was chance")


def _against(fault: FaultKind | None, course: Course, config: RunConfig, data: int | None) -> Iterator[_Change]:
    """What helps against a fault of a run that no longer improves; a batch holds no more than there are data."""
    if course is Course.RISING or fault is FaultKind.NOISE:
        yield from _smaller_steps(config)
    elif fault in (FaultKind.COLLAPSE, FaultKind.VARIETY, FaultKind.MODES, FaultKind.CLASSES, FaultKind.POINTS):
        batch = getattr(config.method, "batch", None)
        larger = min(2 * batch, data or 2 * batch) if isinstance(batch, int) else 0
        if isinstance(batch, int) and larger > batch:
            yield _Change("--method.batch", str(larger), "a larger batch holds more of what is missing")
    elif fault is FaultKind.BLUR:
        eps = getattr(getattr(config.method, "reg", None), "eps", None)
        if isinstance(eps, Relative):
            yield _Change("--method.reg.eps", f"{eps.factor / 2:g}*mean", "a smaller eps averages over less")
        elif isinstance(eps, float | int):
            yield _Change("--method.reg.eps", f"{eps / 2:g}", "a smaller eps averages over less")


def _wider(config: RunConfig, data: int | None) -> Iterator[_Change]:
    """A larger generator; a smaller one where there are so few data that no network learns their law."""
    if data is None or data >= _FEW_DATA:
        yield from _resized(config, 2.0, "a larger generator can show more")
    else:
        why = f"{data} training data hardly show a law: more of them help most, else a smaller generator may"
        yield from _resized(config, 0.5, why)


def _resized(config: RunConfig, times: float, why: str) -> Iterator[_Change]:
    """A generator of so many times the width, where it has one."""
    generator = config.generator
    if isinstance(generator, MlpGenerator) and generator.widths:
        widths = [round(times * width) for width in generator.widths]
        if min(widths) >= _NARROWEST:
            yield _Change("--generator.widths", f"[{','.join(map(str, widths))}]", why)
    elif isinstance(generator, DcganGenerator) and (width := round(times * generator.width)) >= _NARROWEST:
        yield _Change("--generator.width", str(width), why)


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
