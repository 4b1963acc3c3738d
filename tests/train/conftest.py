"""Runs of a few steps on the plane: a hundredth of a second each."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from cases.pixels import unrendered
from cases.trainers import Contents, Start, end, to_end
from otgen import methods
from otgen.data import Gaussian2D, Normal
from otgen.nets import HeadOf, MlpCritic, MlpGenerator, MlpSplitCritic, SpectralNorm
from otgen.ot import KL, SqEuclidean
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig, checkpoint
from otgen.train.hooks import Checkpoints

NEVER = 10**6


PIXEL = methods.PixelSinkhorn(batch=12, reg=KL(eps=0.5), max_steps=4)
LEARNT = methods.SinkhornAutoDiff(
    batch=12, reg=KL(eps=0.5), max_steps=3, critic=MlpCritic(widths=(6,)), features=3, n_critic=2
)
SMALL, SPLIT = MlpCritic(widths=(6,)), MlpSplitCritic(widths=(6,), size=4, head_widths=(5,))
ORACLE = methods.DualOracle(f=SMALL, g=SMALL, most=2, relative=True)
DUAL: dict[str, Any] = {"batch": 12, "cost": SqEuclidean(), "reg": KL(eps=0.5), "support": 16, "report_every": 3}
METHODS = {
    "pixel": PIXEL,
    "learnt": LEARNT,
    "wgan": methods.WGAN(batch=12, critic=SMALL, n_critic=2, clip=0.5),
    "wgan-gp": methods.WGANGP(batch=12, critic=SMALL, n_critic=2),
    "seqsgda": methods.SeqSGDA(
        batch=12, max_steps=3, critic=SpectralNorm(net=SMALL, scale=1.2), features=3, n_critic=2
    ),
    "ot-gan": methods.OTGAN(batch=12, max_steps=3, critic=SMALL, features=3, critic_every=2),
    "swgan": methods.SWGANSinkhorn(**DUAL, oracle=ORACLE),
    "swgan-features": methods.SWGAN(
        **DUAL,
        pool=24,
        oracle=replace(ORACLE, f=HeadOf(net=SPLIT), g=HeadOf(net=SPLIT)),
        features=methods.LearntFeatures(net=SPLIT),
    ),
}
# Batch statistics are buffers, and belong to a checkpoint as much as weights do.
TINY = RunConfig(
    data=Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0)),
    latent=Normal(dim=2),
    generator=MlpGenerator(widths=(6,), batch_norm=True),
    method=PIXEL,
    trainer=TrainerConfig(
        log_every=NEVER, sample_every=NEVER, checkpoint_every=NEVER, eval_samples=40, threads=1, ema=0.9
    ),
    steps=8,
)


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", unrendered)


@pytest.fixture
def tiny() -> RunConfig:
    return TINY


@pytest.fixture(params=list(METHODS))
def config(request: Any) -> RunConfig:
    """A tiny run of each method."""
    return replace(TINY, method=METHODS[request.param])


@pytest.fixture(params=["pixel", "learnt"])
def transport(request: Any) -> RunConfig:
    """A tiny run of each method that has a transport value."""
    return replace(TINY, method=METHODS[request.param])


@pytest.fixture
def learnt() -> RunConfig:
    return replace(TINY, method=LEARNT)


@pytest.fixture(scope="package")
def learnt_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of step 2 of `learnt`, made once. Read it, never write to it."""
    config = replace(TINY, method=LEARNT, steps=2)
    trainer = to_end(Trainer(config, RunDir.create(tmp_path_factory.mktemp("once") / "run", config), [Checkpoints()]))
    return checkpoint.newest(trainer.run.checkpoints)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A trainer in a run directory of its own; by default its only hook saves at the end."""

    def make(config: RunConfig, name: str = "run", hooks: Any = None) -> Trainer:
        run = RunDir.create(tmp_path / name, config)
        return Trainer(config, run, [Checkpoints()] if hooks is None else hooks)

    return make


@pytest.fixture
def contents() -> Contents:
    """All of a checkpoint but the time that it took."""

    def read(checkpoint: Path) -> dict[str, Any]:
        found: dict[str, Any] = {
            file.name: {name: tensor.numpy().tobytes() for name, tensor in load_file(file).items()}
            for file in checkpoint.glob("*.safetensors")
        }
        about = json.loads((checkpoint / "state.json").read_text())
        del about["numbers"]["elapsed"]
        return {**found, "state.json": about}

    return read


@pytest.fixture(scope="package")
def _runs_of() -> dict[RunConfig, Any]:
    return {}


@pytest.fixture
def straight(config: RunConfig, start: Start, contents: Contents, _runs_of: dict[RunConfig, Any]) -> dict[str, Any]:
    """The end of a run that is never stopped, made once for each method; not to be changed."""
    if config not in _runs_of:
        _runs_of[config] = contents(end(start(config, "straight")))
    return _runs_of[config]


@pytest.fixture
def halfway(
    config: RunConfig, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, _runs_of: dict[RunConfig, Any]
) -> Trainer:
    """A trainer that has taken up a run that stopped after four steps; the run was made once for each method."""
    half = replace(config, steps=4)
    if half not in _runs_of:
        trainer = to_end(Trainer(half, RunDir.create(tmp_path_factory.mktemp("half") / "run", half), [Checkpoints()]))
        _runs_of[half] = trainer.run.path
    copied = RunDir(Path(shutil.copytree(_runs_of[half], tmp_path / "halfway")))
    trainer = Trainer(config, copied, [Checkpoints()])
    trainer.resume()
    return trainer
