"""A new run from another run's weights, in Python."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.errors import input_error
from cases.runs import bytes
from otgen.data import Gaussian2D, ImageFolder, Normal, Table
from otgen.methods import WGAN, PixelSinkhorn
from otgen.nets import LocationScale, MlpCritic, MlpGenerator
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig
from otgen.train.hooks import Checkpoints

CONFIG = RunConfig(
    data=Gaussian2D(),
    latent=Normal(dim=3),
    generator=MlpGenerator(widths=(6,), batch_norm=True),
    method=WGAN(batch=8, n_critic=1, critic=MlpCritic(widths=(5,))),
    trainer=TrainerConfig(threads=1, checkpoint_every=2),
    steps=3,
)

Train = Callable[[str, RunConfig], Path]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Train a run of a name, or go on with it."""

    def run(name: str, config: RunConfig) -> Path:
        path = tmp_path / name
        directory = RunDir(path) if path.exists() else RunDir.create(path, config)
        trainer = Trainer(config, directory, [Checkpoints()])
        if any(path.glob("checkpoints/*")) or (path / "init_from.json").exists():
            trainer.resume()
        trainer.train()
        return path

    return run


def test_it_starts_from_them_and_goes_on_bit_for_bit(train: Train) -> None:
    first = train("first", CONFIG)
    config = replace(CONFIG, init_from=str(first), seed=5)
    trainer = Trainer(config, RunDir(first.with_name("unused")))
    own = {name: value.clone() for name, value in trainer.state.ema.state_dict().items()}
    weights = trainer.initialise()
    assert weights is not None
    assert (weights.step, weights.anew) == (3, ())
    assert trainer.initialise() is weights  # once
    before = Trainer(CONFIG, RunDir(first))
    before.resume()
    taken, saved = (one.state.method.generator.module.state_dict() for one in (trainer, before))
    assert all(torch.equal(value, saved[name]) for name, value in taken.items())
    assert not all(torch.equal(value, own[name]) for name, value in trainer.state.ema.state_dict().items())
    whole = train("whole", replace(config, steps=6))
    parts = train("parts", config)
    assert json.loads((parts / "init_from.json").read_text())["step"] == 3
    train("parts", replace(config, steps=6))
    assert bytes(parts) == bytes(whole)
    # Stopped before its first checkpoint.
    shutil.rmtree(parts / "checkpoints")
    train("parts", replace(config, steps=6))
    assert bytes(parts) == bytes(whole)


def test_a_step_alone_starts_from_them_too(train: Train, tmp_path: Path) -> None:
    first = train("first", CONFIG)
    config = replace(CONFIG, init_from=str(first))
    alone, prepared, without = (Trainer(c, RunDir(tmp_path / "unused")) for c in (config, config, CONFIG))
    prepared.initialise()
    losses = [float(trainer.step().values["critic_loss"]) for trainer in (alone, prepared, without)]
    assert losses[0] == losses[1] != losses[2]


def test_of_critics_only_what_fits_is_taken(train: Train) -> None:
    first = train("first", CONFIG)
    method = replace(CONFIG.method, critic=MlpCritic(widths=(7,)))  # type: ignore[call-arg]
    trainer = Trainer(replace(CONFIG, method=method, init_from=str(first)), RunDir(first.with_name("unused")))
    weights = trainer.initialise()
    assert weights is not None
    assert weights.anew == ("critic",)
    misfit = replace(CONFIG, generator=MlpGenerator(widths=(6,)), init_from=str(first))
    input_error(
        r"does not fit the one of .*first: layer 1.bias has shape 6 here, and is missing there",
        Trainer(misfit, RunDir(first)).initialise,
    )


def test_other_weights_by_now_are_refused(train: Train) -> None:
    first = train("first", CONFIG)
    config = replace(CONFIG, init_from=str(first))
    second = train("second", config)
    shutil.rmtree(second / "checkpoints")
    train("first", replace(CONFIG, steps=4))
    input_error("has other weights by now than this run was started from", train, "second", config)


def _images(folder: Path, *, side: int, channels: int, classes: int) -> ImageFolder:
    """Images of noise, in a folder for each class."""
    chance = np.random.default_rng(0)
    for k in range(6):
        place = folder / f"class{k % classes}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place / f"{k}.png")
    return ImageFolder(folder=str(folder), size=side, channels=channels)


def _rows(file: Path, columns: dict[str, str]) -> Table:
    """A table of ten rows: of numbers, or of some letters in turn."""
    cells = [[one[k % len(one)] if one else f"{k * 1.7 + 0.3}" for one in columns.values()] for k in range(10)]
    file.write_text("\n".join(",".join(row) for row in [list(columns), *cells]))
    return Table(path=str(file))


def _pairs(folder: Path) -> dict[str, tuple[RunConfig, RunConfig]]:
    """The other run, and this one, by what is said of them."""
    images, more = (_images(folder / str(k), side=8, channels=3, classes=k) for k in (2, 3))
    labelled, other = (replace(data, label="folder") for data in (images, more))
    table = _rows(folder / "one.csv", {"age": "", "city": "ab"})
    column = _rows(folder / "two.csv", {"age": "", "town": "abc"})
    both = _rows(folder / "four.csv", {"age": "", "city": "ab", "street": "ab"})
    levels = _rows(folder / "three.csv", {"age": "", "city": "abc"})
    data = {
        "that run has labels (folder) and this one has none; give --label folder, or": (labelled, images),
        "this run has labels and that one has none; leave the label out (--data.label null), or": (images, labelled),
        "that run has 2 labels and this one 3, 'class2' on one side only": (labelled, other),
        "samples are 3 x 16 x 16 here and 3 x 8 x 8 there; give --data.size 8, or": (images, replace(images, size=16)),
        "samples are 3 x 8 x 8 here and 1 x 8 x 8 there; give --data.channels 1, or": (
            replace(images, channels=1),
            images,
        ),
        "column 'town' stands in this run's table only; give a table with its columns": (table, column),
        "columns 'city' and 1 more stand in this run's table only; give": (column, both),
        "column 'city' takes 3 numbers here and 2 there": (table, levels),
        "that run has labels (city) and this one has none; give --label city, or": (
            replace(table, label="city"),
            table,
        ),
        "samples are 2 here and 3 x 8 x 8 there; give data of its shape, or": (images, Gaussian2D()),
    }
    method = PixelSinkhorn(batch=2, max_steps=1)
    base = replace(CONFIG, method=method, generator=MlpGenerator(widths=(6,)), holdout=0, steps=1)
    found = {said: (replace(base, data=one), replace(base, data=here)) for said, (one, here) in data.items()}
    found["layer 1.weight has shape 6 x 4 here and 6 x 3 there; give --latent.dim 3, or"] = (
        base,
        replace(base, latent=Normal(dim=4)),
    )
    found["there; give --latent.dim 3 --generator MlpGenerator --generator.widths '[6]', or"] = (
        base,
        replace(base, latent=Normal(dim=2), generator=LocationScale(location=(0.0, 0.0), scale=(1.0, 1.0))),
    )
    return found


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_keeps_a_generator_from_fitting_is_told(step: int, train: Train, tmp_path: Path) -> None:
    """Label, columns, shape or options, whichever it is, and what to type."""
    runs: dict[RunConfig, Path] = {}
    for said, (there, here) in list(_pairs(tmp_path).items())[::step]:
        run = runs[there] if there in runs else runs.setdefault(there, train(f"run{len(runs)}", there))
        trainer = Trainer(replace(here, init_from=str(run)), RunDir(tmp_path / "unused"))
        input_error(re.escape(f"does not fit the one of {run}: ") + f".*{re.escape(said)}", trainer.initialise)
