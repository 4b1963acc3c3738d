"""Photographs and textures that nobody here prepared, at 2, 20 and 60 minutes, by `otgen train FOLDER`.

    python studies/yours/pictures.py --cifar data/cifar10/train --out runs/yours --file

Trains two classes of CIFAR-10 (folders of images: horse, cat) and, if scikit-image is installed, crops of three of its
textures (brick, grass, gravel: one run on all, each a class), with three seeds and three budgets each. What is done
already is not done again; what was interrupted goes on. All of it takes 13 hours of two cores; ``--budgets 2m``, a
quarter of an hour a seed. ``--file`` writes results, report and picture of all runs in the folder that are done to
``experiments/yours/pictures``.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from otgen.metrics import CifarFeatures, frechet_distance
from otgen.runs import sample_run
from otgen.train import Duration, RunDir
from otgen.train.evaluation import metrics_of
from otgen.train.pictures import tiled

CLASSES = ("horse", "cat")
TEXTURES = ("brick", "grass", "gravel")
# Side of a crop, and pixels from one to the next, which overlaps it: what is held out is no independent check.
CROP, STRIDE = 32, 8
# Samples of each run in the picture.
SHOWN = 24
KEYS = ("frechet", "frechet_real", "precision", "recall", "density", "coverage", "kid", "copy_close")


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        name: of its data.
        folder: of its images.
        budget: seconds of training.
        seed: of all its random streams.
        labelled: whether the folders in the folder are its classes.
    """

    name: str
    folder: Path
    budget: Duration
    seed: int
    labelled: bool

    def place(self, out: Path) -> Path:
        """Its run directory."""
        return out / f"{self.name}-{minutes(self.budget)}-seed{self.seed}"

    def words(self, out: Path, threads: int) -> list[str]:
        """The command that trains it."""
        command = ["train", f"{self.folder}/", "--seed", str(self.seed), "--budget", str(self.budget)]
        command += ["--out", str(self.place(out)), "--trainer.threads", str(threads)]
        return command + (["--label", "folder"] if self.labelled else [])


def minutes(budget: Duration) -> str:
    """A budget in minutes, as a word."""
    return f"{budget / 60:g}m"


def textures(folder: Path) -> Path:
    """Crops of scikit-image's textures, a folder each, made once."""
    from skimage import data

    for name in TEXTURES:
        target = folder / name
        if target.is_dir():
            continue
        image = getattr(data, name)()
        target.mkdir(parents=True)
        for top in range(0, image.shape[0] - CROP + 1, STRIDE):
            for left in range(0, image.shape[1] - CROP + 1, STRIDE):
                crop = Image.fromarray(image[top : top + CROP, left : left + CROP]).convert("RGB")
                crop.save(target / f"{top:03d}-{left:03d}.png")
    return folder


def train(job: Job, out: Path, threads: int) -> None:
    """Train a run to its end, unless that is done."""
    place = job.place(out)
    words = job.words(out, threads)
    if (place / "config.yaml").exists():
        if any(record["elapsed"] >= job.budget for record in RunDir.open(place).read_evaluations()):
            return
        words = ["train", "--resume", "--out", str(place)]
    print(" ".join(["otgen", *words]), flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    log = place.with_suffix(".log")
    with log.open("a") as file:
        done = subprocess.run([sys.executable, "-m", "otgen", *words], stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"that run ended with {done.returncode}; its words are in {log}")


@dataclass(frozen=True, order=True)
class Done:
    """A run that is done, in the order of the report.

    Attributes:
        name: of its data.
        budget: seconds of training.
        seed: of all its random streams.
        place: its run directory.
    """

    name: str
    budget: float
    seed: int
    place: Path


def finished(out: Path) -> list[Done]:
    """All runs of a folder that are done."""
    runs = []
    for place in out.iterdir():
        named = re.fullmatch(r"(\w+)-([\d.]+m)-seed(\d+)", place.name)
        if named is not None and (place / "config.yaml").exists():
            run = Done(named[1], float(Duration.parse(named[2])), int(named[3]), place)
            if any(record["elapsed"] >= run.budget for record in RunDir.open(place).read_evaluations()):
                runs.append(run)
    return sorted(runs)


def measured(done: Done) -> dict[str, Any]:
    """What a finished run reports of its last samples, and its verdict."""
    last = RunDir.open(done.place).read_evaluations()[-1]
    log = done.place.with_suffix(".log").read_text().splitlines()
    return {
        "data": done.name,
        "budget": done.budget,
        "seed": done.seed,
        "step": last["step"],
        "values": {key: value for key, value in metrics_of(last).items() if key in KEYS},
        "verdict": [line for line in log if line.startswith("Verdict")][-1:],
    }


def between_classes(cifar: Path) -> float:
    """The Fréchet distance of one class from the other: what the photographs of another animal have."""
    from otgen.data import ImageFolder

    one, other = (CifarFeatures()(ImageFolder(folder=str(cifar / name)).support()) for name in CLASSES)
    return frechet_distance(one.gaussian, other.gaussian)


def picture(runs: Sequence[Done], path: Path) -> None:
    """Samples of the first seed: a row a data set, a column a budget."""
    first: dict[str, dict[float, Done]] = {}
    for done in runs:
        first.setdefault(done.name, {}).setdefault(done.budget, done)
    budgets = sorted({done.budget for done in runs})
    rows = []
    for of_name in first.values():
        cells = []
        for budget in budgets:
            if budget in of_name:
                samples, span = sample_run(RunDir.open(of_name[budget].place), SHOWN, 0)
                cells.append(_in_colour(tiled(samples, span, columns=6)))
            else:
                cells.append(np.full_like(cells[0], 255))
        rows.append(np.concatenate(cells, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


def _in_colour(grid: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A grid with three channels and a white border."""
    coloured = np.repeat(grid[..., None], 3, axis=-1) if grid.ndim == 2 else grid
    return np.pad(coloured, ((8, 8), (8, 8), (0, 0)), constant_values=255)


def report(results: Mapping[str, Any]) -> str:
    """The report, from the results alone."""
    lines = [
        "# Photographs and textures, by `otgen train FOLDER`",
        "",
        "Written by `python studies/yours/pictures.py --file` from [results.json](results.json). Medians over seeds "
        f"[least, most]; threads a run: {results['threads']}; Fréchet distances in the features of `CifarFeatures`, "
        "which are for colour: the textures have none. The two animals are "
        f"{results['between_classes']:.3g} from each other.",
        "",
        "| data | training | seeds | steps | Fréchet | of real, held-out images | precision | recall | "
        "verdict of the first seed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for run in results["runs"]:
        groups.setdefault((run["data"], run["budget"]), []).append(run)
    for (name, budget), runs in groups.items():
        cells = [_spread(runs, key) for key in ("frechet", "frechet_real", "precision", "recall")]
        steps = f"{statistics.median(run['step'] for run in runs):,.0f}"
        verdict = (runs[0]["verdict"] or ["none"])[0].replace("|", "/")
        seeds = ", ".join(str(run["seed"]) for run in runs)
        lines.append(f"| {name} | {budget / 60:g} min | {seeds} | {steps} | {' | '.join(cells)} | {verdict} |")
    lines += ["", "![Samples, a row a data set, a column a budget](figure.png)", ""]
    return "\n".join(lines)


def _spread(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [run["values"][key] for run in runs if key in run["values"]]
    if not values:
        return "-"
    return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path, help="folder with the folders horse and cat")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--budgets", nargs="+", type=Duration.parse, default=[Duration.parse(f"{k}m") for k in (2, 20, 60)]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11, 12])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", nargs="+", default=[*CLASSES, "textures"], choices=[*CLASSES, "textures"])
    parser.add_argument("--file", action="store_true", help="write experiments/yours/pictures")
    chosen = parser.parse_args()
    if chosen.cifar is None and set(CLASSES) & set(chosen.data):
        parser.error("the photographs need --cifar")
    jobs = [
        Job(
            name,
            textures(chosen.out / "textures") if name == "textures" else chosen.cifar / name,
            budget,
            seed,
            name == "textures",
        )
        for budget in chosen.budgets
        for seed in chosen.seeds
        for name in chosen.data
    ]
    for job in jobs:
        train(job, chosen.out, chosen.threads)
    runs = finished(chosen.out)
    results = {
        "threads": chosen.threads,
        "between_classes": between_classes(chosen.cifar) if chosen.cifar else float("nan"),
        "runs": [measured(done) for done in runs],
    }
    print(report(results))
    if chosen.file:
        folder = Path(__file__).parents[2] / "experiments" / "yours" / "pictures"
        picture(runs, folder / "figure.png")
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (folder / "report.md").write_text(report(results))


if __name__ == "__main__":
    main()
