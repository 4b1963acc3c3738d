"""The recipe of photographs, on colour images of noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.images import write_photographs
from cases.trainers import resumed
from otgen.data import ImageFolder
from otgen.papers import Scale, photos
from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, Trainer
from otgen.train.hooks import Checkpoints
from otgen.train.state import measure_statistics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_photographs(tmp_path_factory.mktemp("data") / "photographs"))


def _config(folder: str, size: int = 32, steps: int = 4) -> RunConfig:
    smoke = photos(Scale.SMOKE)
    trainer = replace(smoke.trainer, threads=1)
    return replace(smoke, data=ImageFolder(folder=folder, size=size), trainer=trainer, steps=steps)


def _started(config: RunConfig, path: Path) -> Trainer:
    return Trainer(config, RunDir.create(path, config), [Checkpoints()])


def _weights(trainer: Trainer) -> dict[str, Any]:
    method = trainer.state.method
    players = (method.generator.module, method.critic.module, trainer.state.ema)  # type: ignore[attr-defined]
    return {f"{k}/{name}": value for k, player in enumerate(players) for name, value in player.state_dict().items()}


@pytest.mark.parametrize("size", [32, 64])
def test_it_learns_colour_images_of_either_size(size: int, folder: str, tmp_path: Path) -> None:
    trainer = Trainer(_config(folder, size, steps=1), RunDir(tmp_path / "run"))
    trainer.train()
    assert trainer.shapes.shape == (3, size, size)
    assert trainer.state.method.generator.module(torch.zeros(2, 64)).shape == (2, 3, size, size)


def test_stopped_and_resumed_it_is_never_stopped(folder: str, tmp_path: Path) -> None:
    straight = _started(_config(folder), tmp_path / "straight")
    straight.train()
    first = _started(_config(folder, steps=2), tmp_path / "stopped")
    first.train()
    second = resumed(_config(folder), first)
    second.train()
    one, other = _weights(straight), _weights(second)
    assert any("stream" in name for name in one)  # the random changes of the images
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_average_has_statistics_of_its_own(folder: str, tmp_path: Path) -> None:
    trainer = Trainer(_config(folder, steps=3), RunDir(tmp_path / "run"))
    trainer.train()
    measured = [value.clone() for value in trainer.state.ema.buffers()]
    measure_statistics(trainer.state.ema, trainer.laws.latent.sample(1000, named_stream(0, "average")))
    assert all(torch.equal(*pair) for pair in zip(measured, trainer.state.ema.buffers(), strict=True))


def test_the_networks_of_scale_cpu_suit_both_sizes() -> None:
    config = photos(Scale.CPU)
    for side in (32, 64):
        with torch.device("meta"):
            made = config.generator.build(config.latent.shape, (3, side, side), (0.0, 1.0))(torch.zeros(2, 64))
        assert made.shape == (2, 3, side, side)
