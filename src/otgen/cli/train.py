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


def run(arguments: Sequence[str]) -> int:
    """Train, evaluate, say where everything is."""
    from otgen.recipes import find
    from otgen.train import Ending

    # The recipe decides the defaults of all options, so it comes first and is read first.
    words = list(arguments)
    recipe = find(words.pop(0) if words and not words[0].startswith("-") else _DEFAULT_RECIPE)
    default = recipe.build(_scale(words))
    parser = _parser(recipe, default)
    parsed = parse(parser, words)
    if parsed.resume:
        run_dir, config = _continued(recipe, parsed, words)
    else:
        config = _config(parser, parsed, default)
        run_dir = _new(recipe, parsed, config)
    trainer = _trainer(config, run_dir)
    if parsed.resume:
        trainer.resume()
        if trainer.progress >= 1:
            raise UsageError(f"{run_dir.path} is complete at step {trainer.state.step}; give more --steps or --budget")
    print(f"Training in {run_dir.path}", flush=True)
    if trainer.train() is Ending.INTERRUPTED:
        print(f"Interrupted at step {trainer.state.step}, saved. Continue: otgen train --resume --out {run_dir.path}")
        return 128 + (trainer.signal or 2)
    from otgen.cli.report import show_end

    show_end(run_dir)
    return 0


def _parser(recipe: Recipe, default: RunConfig) -> Parser:
    from otgen.recipes import Scale
    from otgen.train.config import config_parser

    parser = Parser(
        prog="otgen train [RECIPE]",
        description=f"Train a generator. RECIPE is one of `otgen list`; here it is {recipe.name}: {recipe.summary}.",
    )
    parser.add_argument("--config", action="config", help="a YAML file of the options below; flags win over it")
    parser.add_argument("--out", type=str | None, default=None, help="the run directory itself")
    parser.add_argument("--scale", type=Scale, default=Scale.CPU.value, help="how much computing the recipe may take")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    config_parser(default, parser)
    return parser


def _scale(words: Sequence[str]) -> Scale:
    from otgen.recipes import Scale

    for index, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag == "--scale":
            text = value or (words[index + 1] if index + 1 < len(words) else "")
            if text not in list(Scale):
                raise UsageError(f"--scale must be one of {[s.value for s in Scale]}, got {text!r}")
            return Scale(text)
    return Scale.CPU


def _config(parser: Parser, parsed: Namespace, default: RunConfig) -> RunConfig:
    from otgen.train.config import build

    # Steps and budget replace each other: what was given wins over what the recipe says.
    given = [name for name in ("steps", "budget") if parsed[name] not in (None, getattr(default, name))]
    if len(given) == 2:
        raise UsageError(f"give --steps or --budget, not both; got {parsed.steps} and {parsed.budget}")
    if given:
        parsed["budget" if given == ["steps"] else "steps"] = None
    return build(parser, parsed)


def _new(recipe: Recipe, parsed: Namespace, config: RunConfig) -> RunDir:
    from otgen.train import RunDir

    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path(parsed.out) if parsed.out else Path("runs") / f"{recipe.name}-seed{config.seed}-{stamp}"
    return RunDir.create(path, config)


def _continued(recipe: Recipe, parsed: Namespace, words: Sequence[str]) -> tuple[RunDir, RunConfig]:
    """The run to continue; only its length may change."""
    from otgen.train import RunDir
    from otgen.train.config import differences, save

    if parsed.out is None:
        raise UsageError("--resume needs --out: the run directory to continue")
    run_dir = RunDir.open(Path(parsed.out))
    saved = run_dir.load_config()
    parser = _parser(recipe, saved)
    wanted = _config(parser, parse(parser, words), saved)
    changed = differences(saved, replace(wanted, steps=saved.steps, budget=saved.budget))
    if changed:
        raise UsageError(f"a run is continued as it was, but its length; changed: {'; '.join(changed)}")
    save(wanted, run_dir.config)
    return run_dir, wanted


def _trainer(config: RunConfig, run_dir: RunDir) -> Trainer:
    from otgen.train import Trainer
    from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures
    from otgen.train.progress import ProgressLine

    log = Log()
    return Trainer(config, run_dir, [log, Pictures(), Evaluations(), Checkpoints(), ProgressLine(log)])
