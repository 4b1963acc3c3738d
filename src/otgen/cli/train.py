"""`otgen train`."""

from __future__ import annotations

import argparse
import contextlib
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from otgen import files
from otgen.cli.config_parser import Parser
from otgen.cli.few_data import count_of, few_data_line
from otgen.cli.printable import printable
from otgen.cli.train_recipe import choose, long_forms
from otgen.cli.usage import UsageError, add_plugins
from otgen.errors import InputError
from otgen.papers import Recipe, Scale
from otgen.train import Ending, RunConfig, RunDir, Trainer
from otgen.train.config import differences
from otgen.train.config_files import build, parse_config, text_of
from otgen.train.curve import Curve
from otgen.train.hooks import Log, Pictures
from otgen.train.progress import ProgressLine, span
from otgen.train.recording import recording
from otgen.train.run_lock import locked

# The help of so many options hides what most people came for.
_GUIDANCE = """\
Your pictures:  otgen train photos/     any folder of images: sizes and colours are recognised
Your table:     otgen train table.csv   or .tsv, .parquet, .npy, .npz; then: otgen sample RUN --out rows.csv
Read next:      docs/getting-started.md, docs/command.md; otgen list shows recipes and components

"""


def run(arguments: Sequence[str]) -> int:
    """Train, evaluate, say where everything is."""
    words = long_forms(arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else None
    given = _given(words)
    chosen = choose(name, given)
    recipe, words = chosen.recipe, [*chosen.words, *words]
    if given.print_config is not None:
        print(text_of(_config(recipe, recipe.build(_scale(given.scale)), words, given)[1]), end="")
        return 0
    run_dir, config, saved = (_new if given.resume is None else _old)(recipe, words, given)
    chosen.lend(config.data)
    for note in chosen.notes:
        print(note, flush=True)
    with _alone(run_dir.path):
        if saved is None:
            return _trained(_started(run_dir, config))
        return _trained(_resumed(run_dir, config, saved, allow_change=given.allow_change is not None))


def _trained(trainer: Trainer) -> int:
    """Train to the end; the exit code."""
    path = printable(trainer.run.path)
    if trainer.progress < 1:
        print(f"Training in {path}", flush=True)
        if trainer.train() is Ending.INTERRUPTED:
            from otgen.runs.verdict_advice import own_modules_words  # imports what no training needs

            again = shlex.join(["otgen", "train", "--resume", "--out", path, *own_modules_words()])
            print(f"Interrupted at step {trainer.state.step}, saved. Continue: {again}")
            return 128 + (trainer.signal or 2)
        if trainer.state.settled:
            print(f"Ended at step {trainer.state.step} by the method's own test: nothing was left to gain.")
    else:
        done = f"{path} is complete at step {trainer.state.step}: {_trained_of(trainer)}"
        print(f"{done}; what was cut off at its end is made good")
        Pictures().at_end(trainer, None)
    from otgen.cli.report import show_end  # imports SciPy, which no training needs

    show_end(trainer.run, trainer.config)
    return 0


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """The only process at work on a run."""
    with contextlib.ExitStack() as stack:
        try:
            mine = stack.enter_context(locked(path, wait=False))
        except OSError as error:
            raise InputError(f"cannot write a run to {path}: {error.strerror}; choose another --out") from error
        if not mine:
            raise InputError(f"another process is at work on {path}; wait until it ends, or choose another --out")
        yield


# The options of the configuration that decide on defaults.
_ALSO_OPTIONS: tuple[str, ...] = (
    "data",
    "data.key",
    "data.folder",
    "data.path",
    "data.label",
    "data.scaling",
    "config",
    "steps",
)
_ALSO_OPTIONS += ("budget", "init_from", "method")


def _given(words: Sequence[str]) -> argparse.Namespace:
    """Which of these options are given, and their text: the others cannot be parsed before their defaults are known."""
    front = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("scale", "out", "resume", "allow-change", "print_config", *_ALSO_OPTIONS):
        # What is wrong with a value is for the parser of all options to say.
        front.add_argument(f"--{option}", dest=option.replace("-", "_").replace(".", "_"), nargs="?", const="")
    # No options of ours: the path of the data stands first.
    front.add_argument("--path", "--folder", "--dir", "--file", "--dataset", dest="misplaced", nargs="?", const="")
    return front.parse_known_args(words)[0]


def _new(recipe: Recipe, words: Sequence[str], given: argparse.Namespace) -> tuple[RunDir, RunConfig, RunConfig | None]:
    """Where a new run shall be, and its configuration."""
    out, config = _config(recipe, recipe.build(_scale(given.scale)), words, given)
    named = f"{recipe.name.replace('/', '-')}-seed{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    return RunDir(Path(out or Path("runs", named))), config, None


def _started(run_dir: RunDir, config: RunConfig) -> Trainer:
    """A new run."""
    run_dir.refuse_existing()
    # Built before anything is written: a run that cannot start leaves nothing behind.
    trainer = _trainer(config, run_dir)
    weights = trainer.initialise()
    count = count_of(config.data)
    few = None if count is None else few_data_line(count, trainer.shapes.shape)
    RunDir.create(run_dir.path, config)
    if few is not None:
        print(few, flush=True)
    if weights is not None:
        anew = f"; new: {', '.join(weights.anew)}" if weights.anew else ""
        print(f"Starting from the weights of {printable(weights.run)} at step {weights.step}{anew}", flush=True)
    return trainer


def _old(recipe: Recipe, words: Sequence[str], given: argparse.Namespace) -> tuple[RunDir, RunConfig, RunConfig | None]:
    """The run to continue, how it shall go on, and how it was saved."""
    if given.out is None:
        raise UsageError("--resume needs --out: the run directory to continue")
    run_dir = RunDir.open(Path(given.out))
    saved = run_dir.load_config(allow_change=given.allow_change is not None)
    return run_dir, _config(recipe, saved, words, given)[1], saved


def _resumed(run_dir: RunDir, wanted: RunConfig, saved: RunConfig, *, allow_change: bool) -> Trainer:
    """The run to continue; only its length may change by itself."""
    changed = differences(saved, replace(wanted, steps=saved.steps, budget=saved.budget))
    if changed and not allow_change:
        raise UsageError(
            f"a run is continued as it was, but its length; changed: {'; '.join(changed)}; leave that out, or go on "
            "all the same with --allow-change"
        )
    trainer = _trainer(wanted, run_dir)
    trainer.resume(allow_change=allow_change)
    if trainer.progress >= 1 and _cut_off(trainer):
        return trainer
    if trainer.state.settled:
        raise UsageError(
            f"{run_dir.path} ended at step {trainer.state.step} by its method's own test: it cannot go on; start a new "
            "run with that test off, for SCO --method.stop 0 --method.patience 0"
        )
    if trainer.progress >= 1:
        done = f"{run_dir.path} is complete at step {trainer.state.step}: {_trained_of(trainer)}"
        raise UsageError(f"{done}; to train on give more, as {_more(trainer)}")
    if trainer.state.step:
        print(f"Going on at step {trainer.state.step}: {_trained_of(trainer)}", flush=True)
    run_dir.write_config(wanted)
    return trainer


def _trained_of(trainer: Trainer) -> str:
    """How much of a run's length is behind it: a length that is given to go on with is no addition to that."""
    step, elapsed = trainer.state.step, trainer.state.elapsed
    steps, budget = trainer.config.steps, trainer.config.budget
    if steps is not None:
        total = "--steps is the total of the run"
        if step > steps:
            return f"{step} steps are done, more than the {steps} asked for ({total})"
        left = f"{steps - step} are left" if steps > step else "none is left"
        return f"{step} of {steps} steps are done, {left} ({total})"
    assert budget is not None
    total = "--budget is the total of the run"
    # Less than a second is the last step's.
    if elapsed >= budget + 1:
        return f"{span(int(elapsed))} are trained, more than the {span(budget)} asked for ({total})"
    left = f"{span(math.ceil(budget - elapsed))} are left" if budget > elapsed else "nothing is left"
    return f"{span(int(elapsed))} of {span(budget)} are trained, {left} ({total})"


def _more(trainer: Trainer) -> str:
    """An option by which a complete run goes on: for as long again as was asked for."""
    steps, budget = trainer.config.steps, trainer.config.budget
    if steps is not None:
        return f"--steps {trainer.state.step + steps}"
    assert budget is not None
    return f"--budget {math.ceil(trainer.state.elapsed + budget)}s"


def _cut_off(trainer: Trainer) -> bool:
    """Whether a complete run lacks the evaluation of its end, or what is drawn after it."""
    run = trainer.run
    evaluated = any(record["step"] == trainer.state.step for record in run.read_evaluations())
    # Of a single line there are no curves.
    return not evaluated or (len(run.read_metrics()) > 1 and not files.exists(run.curves, within=run.path))


def _parser(recipe: Recipe) -> Parser:
    parser = Parser(
        prog="otgen train [RECIPE | PATH]",
        print_config=None,  # its own, which would not know that another method starts from its own defaults
        description="Train a generator. PATH is a folder of images or a file, whose data are recognised; RECIPE is one "
        f"of `otgen list`, or FIGURE/PANEL, a panel of a figure; here it is {recipe.name}: {recipe.summary}.",
    )
    parser.guidance = _GUIDANCE
    parser.add_argument("--config", action="config", help="a YAML file of the options below; what stands later wins")
    parser.add_argument("--out", type=str | None, default=None, help="the run directory itself")
    parser.add_argument("--scale", type=Scale, default=Scale.CPU, help="how much computing the recipe may take")
    parser.add_argument("--print_config", action="store_true", help="print the configuration of the run, and stop")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    changed = "with --resume: go on although the data, the threads or other settings are not what they were"
    parser.add_argument("--allow-change", action="store_true", help=changed)
    label = "train by class: short for --data.label, a column of a table, or `folder` for a folder of class folders"
    parser.add_argument("--label", type=str | None, default=None, help=label)
    add_plugins(parser)
    return parser


def _config(
    recipe: Recipe, default: RunConfig, words: Sequence[str], given: argparse.Namespace
) -> tuple[str | None, RunConfig]:
    """Where the run shall be, and its configuration: what the words say, else the default's."""
    parser, parsed = parse_config(lambda: _parser(recipe), lambda p: p.parse_args(words), default)
    if parsed.label is not None:
        raise UsageError("in a file, label stands below data, as data: {init_args: {label: ...}}")
    # Steps and budget replace each other: what was given wins over what the recipe says.
    lengths = ("steps", "budget")
    flags = [name for name in lengths if getattr(given, name) not in (None, "null")]
    chosen = flags or [name for name in lengths if parsed[name] not in (None, getattr(default, name))]
    if len(chosen) == 2:
        raise UsageError(f"give --steps or --budget, not both; got {parsed.steps} and {parsed.budget}")
    if chosen:
        parsed["budget" if chosen == ["steps"] else "steps"] = None
    return parsed.out, build(parser, parsed)


def _scale(text: str | None) -> Scale:
    if text is not None and text not in list(Scale):
        raise UsageError(f"--scale must be one of {[s.value for s in Scale]}, got {text!r}")
    return Scale.CPU if text is None else Scale(text)


def _trainer(config: RunConfig, run_dir: RunDir) -> Trainer:
    log, curve = Log(), Curve()
    return Trainer(config, run_dir, [*recording(log, config.trainer, curve), ProgressLine(log, curve=curve)])
