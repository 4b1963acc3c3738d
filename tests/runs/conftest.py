"""One finished run of each kind of data, trained once for all tests; whoever changes it works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases.pixels import unrendered
from otgen.data import Arrays, Gaussian2D, Normal, Table
from otgen.methods import Adam, PixelSinkhorn
from otgen.nets import MlpGenerator
from otgen.ot import KL
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig
from otgen.train.hooks import Checkpoints, Log, Pictures


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", unrendered)


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on the plane, on 60 images of 8 x 8 pixels in a file of its own, on 60 points in a .csv, and on a table."""
    folder = tmp_path_factory.mktemp("finished")
    np.save(folder / "images.npy", np.random.default_rng(0).random((60, 64)).astype(np.float32))
    plane = RunConfig(
        data=Gaussian2D(mean=(1.0, 0.0)),
        latent=Normal(dim=2),
        generator=MlpGenerator(widths=(6,), batch_norm=True),
        method=PixelSinkhorn(batch=16, reg=KL(eps=0.5), max_steps=5, generator_optimizer=Adam(lr=0.05)),
        trainer=TrainerConfig(eval_samples=50, checkpoint_every=3, threads=1),
        steps=5,
    )
    images = replace(plane, data=Arrays(path=str(folder / "images.npy"), sample_shape=(1, 8, 8)))
    (folder / "points.csv").write_text("length,width\n" + "".join(f"{1000 + k % 7},{k % 5 / 100}\n" for k in range(60)))
    points = replace(plane, data=Arrays(path=str(folder / "points.csv"), standardise=True))
    table = replace(plane, data=Table())
    found = {}
    for name, config in {"plane": plane, "images": images, "points": points, "table": table}.items():
        run = RunDir.create(folder / name, config)
        Trainer(config, run, [Log(), Pictures(), Checkpoints()]).train()
        found[name] = run.path
    return found


@pytest.fixture
def copy_of(finished: dict[str, Path], tmp_path: Path) -> Callable[[str], RunDir]:
    """A run that may be damaged."""

    def copy(name: str) -> RunDir:
        return RunDir.open(Path(shutil.copytree(finished[name], tmp_path / name)))

    return copy
