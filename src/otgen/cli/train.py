"""`otgen train`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from otgen.cli.usage import Parser, UsageError, parse

if TYPE_CHECKING:
    from otgen.recipes import Recipe, Scale
    from otgen.train import RunConfig, RunDir, Trainer

_DEFAULT_RECIPE = "digits"
# Where somebody brings data, of which nobody knows yet that they are images.
_ANY_DATA = "pixels"


def run(arguments: Sequence[str]) -> int:
    """Train, evaluate, say where everything is."""
    from otgen.train import Ending

    # The recipe decides the defaults of all options, so it comes first and is read first.
    words = list(arguments)
    recipe = _recipe(words.pop(0) if words and not words[0].startswith("-") else _default(words))
    if "--print_config" in words:
        from otgen.train.parsing import written

        print(written(_config(recipe, recipe.build(_scale(words)), words)[1]), end="")
        return 0
    trainer = _resumed(recipe, words) if "--resume" in words else _started(recipe, words)
    print(f"Training in {trainer.run.path}", flush=True)
    if trainer.train() is Ending.INTERRUPTED:
        step, path = trainer.state.step, trainer.run.path
        how = f"saved. Continue: otgen train --resume --out {path}" if step else "nothing to save"
        print(f"Interrupted at step {step}, {how}")
        return 128 + (trainer.signal or 2)
    if trainer.state.settled:
        print(f"Ended at step {trainer.state.step} by the method's own test: nothing was left to gain.")
    from otgen.cli.report import show_end

    show_end(trainer.run)
    return 0


def _recipe(name: str) -> Recipe:
    """The recipe of a name, or the panel of FIGURE/PANEL."""
    from otgen import methods
    from otgen.recipes import find, find_figure

    figure, slash, panel = name.partition("/")
    if slash:
        return find_figure(figure).recipe(panel)
    if isinstance(getattr(methods, name, None), type) and issubclass(getattr(methods, name), methods.Method):
        found = _panels_with(getattr(methods, name))
        chosen = f"; panels with settings of their own for it: {', '.join(found)}" if found else ""
        raise UsageError(f"{name} is a method, not a recipe: otgen train RECIPE --method {name}{chosen}")
    return find(name)


def _panels_with(method: type) -> list[str]:
    """The panels that a method trains, FIGURE/PANEL."""
    from otgen.recipes import Scale, all_figures

    panels = [(figure, panel) for figure in all_figures() for panel in figure.panels]
    return [f"{f.name}/{p.name}" for f, p in panels if type(p.build(Scale.CPU).method) is method]


def _default(words: Sequence[str]) -> str:
    """The recipe of a command that names none."""
    own = any(word.partition("=")[0] in ("--data", "--config") for word in words)
    return _ANY_DATA if own else _DEFAULT_RECIPE


def _started(recipe: Recipe, words: Sequence[str]) -> Trainer:
    """A new run."""
    from otgen.train import RunDir

    default = recipe.build(_scale(words))
    parsed, config = _config(recipe, default, words)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    named = f"{recipe.name.replace('/', '-')}-seed{config.seed}-{stamp}"
    path = Path(parsed.out) if parsed.out else Path("runs") / named
    RunDir(path).refuse_existing()
    # Built before the directory: a run that cannot start leaves nothing behind.
    trainer = _trainer(config, RunDir(path))
    RunDir.create(path, config)
    return trainer


def _resumed(recipe: Recipe, words: Sequence[str]) -> Trainer:
    """The run to continue; only its length may change."""
    from otgen.train import RunDir
    from otgen.train.config import differences
    from otgen.train.parsing import save

    out = _value(words, "--out")
    if out is None:
        raise UsageError("--resume needs --out: the run directory to continue")
    run_dir = RunDir.open(Path(out))
    saved = run_dir.load_config()
    _, wanted = _config(recipe, saved, words)
    changed = differences(saved, replace(wanted, steps=saved.steps, budget=saved.budget))
    if changed:
        raise UsageError(f"a run is continued as it was, but its length; changed: {'; '.join(changed)}")
    trainer = _trainer(wanted, run_dir)
    trainer.resume()
    if trainer.state.settled:
        raise UsageError(
            f"{run_dir.path} ended at step {trainer.state.step} by its method's own test: it cannot go on; start a new "
            "run with that test off, for SCO --method.stop 0 --method.patience 0"
        )
    if trainer.progress >= 1:
        raise UsageError(f"{run_dir.path} is complete at step {trainer.state.step}; give more --steps or --budget")
    save(wanted, run_dir.config)
    return trainer


def _parser(recipe: Recipe) -> Parser:
    from otgen.recipes import Scale

    parser = Parser(
        prog="otgen train [RECIPE]",
        allow_abbrev=False,
        print_config=None,  # its own, which would not know that another method starts from its own defaults
        description="Train a generator. RECIPE is one of `otgen list`, or FIGURE/PANEL, a panel of a figure; here it "
        f"is {recipe.name}: {recipe.summary}.",
    )
    parser.add_argument("--config", action="config", help="a YAML file of the options below; what stands later wins")
    parser.add_argument("--out", type=str | None, default=None, help="the run directory itself")
    parser.add_argument("--scale", type=Scale, default=Scale.CPU, help="how much computing the recipe may take")
    parser.add_argument("--print_config", action="store_true", help="print the configuration of the run, and stop")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    return parser


def _config(recipe: Recipe, default: RunConfig, words: Sequence[str]) -> tuple[Namespace, RunConfig]:
    """What was parsed, and the configuration that it gives."""
    from otgen.train.parsing import build, parse_config

    parser, parsed = parse_config(lambda: _parser(recipe), lambda p: parse(p, words), default)
    # Steps and budget replace each other: what was given wins over what the recipe says.
    flags = [name for name in ("steps", "budget") if _value(words, f"--{name}") not in (None, "null")]
    changed = [name for name in ("steps", "budget") if parsed[name] not in (None, getattr(default, name))]
    given = flags or changed
    if len(given) == 2:
        raise UsageError(f"give --steps or --budget, not both; got {parsed.steps} and {parsed.budget}")
    if given:
        parsed["budget" if given == ["steps"] else "steps"] = None
    return parsed, build(parser, parsed)


def _scale(words: Sequence[str]) -> Scale:
    from otgen.recipes import Scale

    text = _value(words, "--scale")
    if text is None:
        return Scale.CPU
    if text not in list(Scale):
        raise UsageError(f"--scale must be one of {[s.value for s in Scale]}, got {text!r}")
    return Scale(text)


def _value(words: Sequence[str], option: str) -> str | None:
    """The value of an option that is needed before the others can be parsed."""
    found = None
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag == option:
            found = value if equals else (words[index + 1] if index + 1 < len(words) else "")
    return found


def _trainer(config: RunConfig, run_dir: RunDir) -> Trainer:
    from otgen.train import Trainer
    from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures
    from otgen.train.progress import ProgressLine

    log = Log()
    return Trainer(config, run_dir, [log, Checkpoints(), Pictures(), Evaluations(), ProgressLine(log)])
