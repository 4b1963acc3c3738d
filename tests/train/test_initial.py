"""A new run from another run's weights, in Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cases.errors import input_error
from cases.runs import bytes
from otgen.data import Gaussian2D, Normal
from otgen.methods import WGAN
from otgen.nets import MlpCritic, MlpGenerator
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
