"""The evaluation of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from otgen import files
from otgen.data import Source
from otgen.errors import InputError, NumericalError, warn
from otgen.metrics import Extractor
from otgen.runs.assumptions import Assumption, assumptions
from otgen.runs.curves_picture import draw_curves
from otgen.runs.networks import latent_law, load_generator
from otgen.runs.verdict import Verdict, verdict
from otgen.train import RunConfig, RunDir, checkpoint, evaluate
from otgen.train.curve import add_point, ruler_of
from otgen.train.evaluation import ABOUT, metrics_of, store
from otgen.train.feature_cache import FeatureCache
from otgen.train.feature_sets import default_extractor
from otgen.train.hooks import spared
from otgen.train.protocol import Protocol


@dataclass(frozen=True)
class RunEvaluation:
    """An evaluation that is stored in the run directory.

    Attributes:
        values: metric name to number.
        file: the JSON file.
        picture: the newest picture of samples; None if there is none.
        neighbours: picture of samples above their nearest training samples; None if there is none.
        curves: picture of the run's curves; None if there is none.
        assumptions: the assumptions of the convergence theorems, checked for the run.
        verdict: what the numbers say, in words.
        protocol: how it was made; None for an evaluation of an earlier version.
    """

    values: dict[str, float]
    file: Path
    picture: Path | None
    neighbours: Path | None
    curves: Path | None
    assumptions: list[Assumption]
    verdict: Verdict
    protocol: Protocol | None = None


def evaluate_run(
    run: RunDir,
    *,
    n: int | None = None,
    seed: int | None = None,
    raw: bool = False,
    reuse: bool = False,
    config: RunConfig | None = None,
    extractor: Extractor | None = None,
    target: str | None = None,
) -> RunEvaluation:
    """Evaluate the newest checkpoint, store the result under ``eval/``, and draw the run's curves.

    Args:
        run: the run directory.
        n: number of generated samples; by default that of the run's configuration.
        seed: seed of the evaluation's own random streams; by default the run's.
        raw: use the weights themselves rather than their moving average.
        reuse: take a stored evaluation of that checkpoint with the same settings, if there is one.
        config: the run's configuration, if it is already loaded: reading it takes a tenth of a second.
        extractor: what makes the features; by default the shipped classifier of such images, if there is one. The
            result with another one is stored beside the usual one, and never reused.
        target: of a table the column that metrics predict from the others; by default the table's label.
    """
    config = run.load_config() if config is None else config
    path = checkpoint.newest(run.checkpoints)
    step = checkpoint.step_of(path)
    n = config.trainer.eval_samples if n is None else n
    seed = config.seed if seed is None else seed
    numbers = checkpoint.read_about(path)["numbers"]
    settings = (step, n, seed, "raw" if raw else "ema")
    usual = default_extractor(config.data)
    aside = extractor is not None and (usual is None or usual.name != extractor.name)
    known = run.read_evaluations() if reuse and not aside else []
    stored = [record for record in known if tuple(record.get(key) for key in ABOUT[:4]) == settings]
    if stored:
        file, values, protocol = run.evaluation(step), metrics_of(stored[0]), Protocol.of(stored[0])
    else:
        generator, shapes = load_generator(run, raw=raw, config=config)
        latent, data = latent_law(config, shapes), _training_data(config)
        about = (*settings, numbers["elapsed"], numbers["critic_updates"])
        try:
            evaluation = evaluate(
                generator,
                latent,
                data,
                n,
                seed,
                extractor=extractor,
                cache=FeatureCache(run),
                target=target,
            )
        except NumericalError as error:
            raise NumericalError(f"{path}: {error}") from error
        file = store(run, evaluation, dict(zip(ABOUT, about, strict=True)), aside=aside)
        values, protocol = evaluation.values, evaluation.protocol
        if not raw:
            _complete_curve(run, config, generator, latent, data, step=step, elapsed=numbers["elapsed"])
    pictures = [name for name in files.names(run.samples, within=run.path) if re.fullmatch(r"step_\d+\.png", name)]
    neighbours = run.neighbours(step)
    return RunEvaluation(
        values=values,
        file=file,
        picture=run.samples / pictures[-1] if pictures else None,
        neighbours=neighbours if files.is_file(neighbours, within=run.path) else None,
        curves=run.curves if stored and files.is_file(run.curves, within=run.path) else _curves(run, config),
        assumptions=assumptions(config.method, run.read_metrics()),
        verdict=_verdict(run, config, step, values, settled=numbers["settled"], raw=raw, protocol=protocol),
        protocol=protocol,
    )


def _training_data(config: RunConfig) -> Source:
    """The data of a run.

    Raises:
        InputError: they cannot be read; if their path is relative and not here, the message says so.
    """
    try:
        return config.training_data()
    except InputError as error:
        path = getattr(config.data, "path", None)
        if not isinstance(path, str) or Path(path).is_absolute() or Path(path).exists() or "~" in path:
            raise
        raise InputError(
            f"the data of the run are not here: its config.yaml names {path!r}, seen from the folder where it was "
            "trained, and there is none here; go to that folder"
        ) from error


def _complete_curve(
    run: RunDir, config: RunConfig, generator: nn.Module, latent: Source, data: Source, *, step: int, elapsed: float
) -> None:
    """The last point of the curve, where training left it out or was of an earlier version."""
    if any(record["step"] == step for record in run.read_curve()):
        return
    with spared(f"the curve's point at step {step}"):
        ruler = ruler_of(config, data)
        if ruler is not None:
            add_point(run, config, generator, latent, ruler, step=step, elapsed=elapsed)


def _verdict(
    run: RunDir,
    config: RunConfig,
    step: int,
    values: dict[str, float],
    *,
    settled: bool,
    raw: bool,
    protocol: Protocol | None,
) -> Verdict:
    """The verdict on the run; what only the last point of the curve measured is known of the evaluation too."""
    curve = run.read_curve()
    last = metrics_of(curve[-1]) if curve and curve[-1]["step"] == step and not raw else {}
    history = [*run.read_evaluations(), *curve]
    return verdict(last | values, history, config, run=run.path, settled=settled, protocol=protocol)


def _curves(run: RunDir, config: RunConfig) -> Path | None:
    """The picture of the run's curves; if it cannot be drawn, for whatever reason, only the picture is lost."""
    method, data = type(config.method).__name__, type(config.data).__name__
    try:
        title = f"{method} on {data}, seed {config.seed}"
        return draw_curves({method: [run]}, run.curves, title=title, within=run.path)
    except Exception as error:
        warn(f"the curves of {run.path} cannot be drawn: {error}", UserWarning)
        return None
