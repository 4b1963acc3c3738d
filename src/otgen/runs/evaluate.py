"""The evaluation of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from otgen.runs.assumptions import Assumption, assumptions
from otgen.runs.sample import load_generator
from otgen.train import Evaluation, RunConfig, RunDir, checkpoint, evaluate
from otgen.train.pictures import save_picture


@dataclass(frozen=True)
class RunEvaluation:
    """An evaluation that is stored in the run directory.

    Attributes:
        values: metric name to number.
        file: the JSON file.
        picture: the newest picture of samples; None if there is none.
        neighbours: picture of samples above their nearest training samples; None if there is none.
        assumptions: the assumptions of the convergence theorems, checked for the run.
    """

    values: dict[str, float]
    file: Path
    picture: Path | None
    neighbours: Path | None
    assumptions: list[Assumption]


def evaluate_run(
    run: RunDir,
    *,
    n: int | None = None,
    seed: int | None = None,
    raw: bool = False,
    config: RunConfig | None = None,
) -> RunEvaluation:
    """Evaluate the newest checkpoint and store the result under ``eval/``.

    Args:
        run: the run directory.
        n: number of generated samples; by default that of the run's configuration.
        seed: seed of the evaluation's own random streams; by default the run's.
        raw: use the weights themselves rather than their moving average.
        config: the run's configuration, if it is already loaded: reading it takes a tenth of a second.
    """
    config = run.load_config() if config is None else config
    path = checkpoint.newest(run.checkpoints)
    step = checkpoint.step_of(path)
    generator, shapes = load_generator(run, raw=raw, config=config)
    n = config.trainer.eval_samples if n is None else n
    seed = config.seed if seed is None else seed
    evaluation = evaluate(generator, config.latent, config.data, n, seed)
    about = {"step": step, "samples": n, "seed": seed, "weights": "raw" if raw else "ema"}
    file = run.write_evaluation(step, {**about, **evaluation.values}, "-raw" if raw else "")
    pictures = sorted(run.samples.glob("step_*.png"))
    neighbours = run.evaluations / f"neighbours_{step:08d}.png"
    drawn = len(shapes.shape) == 3 and _draw_neighbours(evaluation, neighbours, shapes)
    return RunEvaluation(
        values=evaluation.values,
        file=file,
        picture=pictures[-1] if pictures else None,
        neighbours=neighbours if drawn else None,
        assumptions=assumptions(config.method, run.read_metrics()),
    )


def _draw_neighbours(evaluation: Evaluation, path: Path, shapes: checkpoint.Shapes) -> bool:
    """Draw rows of samples, each with the row of their nearest training samples below."""
    if evaluation.neighbours is None:
        return False
    # The picture is a square grid, so it has as many columns as rows, in pairs of rows of the same length.
    columns = 8
    count = columns * columns // 2
    samples, nearest = evaluation.samples[:count], evaluation.neighbours[:count]
    if len(samples) < count:
        return False
    pairs = zip(torch.split(samples, columns), torch.split(nearest, columns), strict=True)
    rows = [row for pair in pairs for row in pair]
    return save_picture(torch.cat(rows), path, value_range=shapes.value_range)
