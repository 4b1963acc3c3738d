"""Critics and potentials of finished runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cases.checkpoints import sum_again
from cases.errors import input_error
from cases.trainers import resumed, to_end
from otgen.data import Gaussian2D, Normal
from otgen.methods import SCO, SWGAN, WGAN, Cells, DualOracle, Method, PixelSinkhorn, SemiDiscreteGAN, SeqSGDA
from otgen.nets import MlpCritic, MlpGenerator, SpectralNorm
from otgen.ot import KL, AtomPotentials, SqEuclidean
from otgen.runs import load_critic, load_potentials
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig, checkpoint
from otgen.train.hooks import Checkpoints

NET = MlpCritic(widths=(6,))
ORACLE = DualOracle(f=NET, g=NET, most=2, relative=True)
METHODS: dict[str, Method] = {
    "pixel": PixelSinkhorn(batch=12, reg=KL(eps=0.5), max_steps=4),
    "wgan": WGAN(batch=12, critic=NET, n_critic=2, clip=0.5),
    "seqsgda": SeqSGDA(batch=12, max_steps=3, critic=SpectralNorm(net=NET), features=3, n_critic=2),
    "swgan": SWGAN(batch=12, cost=SqEuclidean(), reg=KL(eps=0.5), support=16, oracle=ORACLE),
    "semi-discrete": SemiDiscreteGAN(batch=12, atoms=20, first=5, most=2),
    "sco": SCO(batch=12, samples=200, cells=Cells(count=24), max_steps=200),
}
Trained = Callable[[str], Trainer]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A run of three steps on the plane."""

    def train(name: str) -> Trainer:
        laws = {"data": Gaussian2D(mean=(2.0, -1.0), std=(0.5, 1.0)), "latent": Normal(dim=2)}
        parts = {"generator": MlpGenerator(widths=(6,)), "method": METHODS[name], "trainer": TrainerConfig(threads=1)}
        config = RunConfig(**laws, **parts, steps=3)
        return to_end(Trainer(config, RunDir.create(tmp_path / name, config), [Checkpoints()]))

    return train


@pytest.mark.parametrize(("name", "features"), [("wgan", 1), ("seqsgda", 3), ("sco", 1)])
def test_the_critic_is_that_of_the_run(name: str, features: int, trained: Trained) -> None:
    trainer, x = trained(name), torch.linspace(-3, 3, 20).reshape(10, 2)
    critic = load_critic(trainer.run)
    assert isinstance(critic, nn.Module)
    assert not critic.training
    kept = trainer.config.method.critic_of(trainer.state.method)
    assert kept is not None
    expected = kept.eval()(x)
    assert expected.shape == (10, features)
    assert torch.equal(critic(x), expected)


def test_the_potentials_of_a_neural_dual_are_those_of_the_run(trained: Trained) -> None:
    trainer, x, y = trained("swgan"), torch.linspace(-3, 3, 20).reshape(10, 2), torch.ones(4, 2)
    potentials = load_potentials(trainer.run)
    assert isinstance(potentials, nn.Module)
    assert not potentials.training
    f, g = potentials(x, y)
    assert (f.shape, g.shape) == ((10,), (4,))
    kept = trainer.state.method.cross.player.module.eval()  # type: ignore[attr-defined]
    assert all(torch.equal(one, other) for one, other in zip((f, g), kept(x, y), strict=True))


def test_the_potentials_of_a_semi_discrete_run_are_on_its_atoms(trained: Trained) -> None:
    trainer, x = trained("semi-discrete"), torch.linspace(-3, 3, 20).reshape(10, 2)
    potentials = load_potentials(trainer.run)
    assert isinstance(potentials, AtomPotentials)
    assert potentials.g.shape == (20,)
    assert float(potentials.g.abs().max()) > 0
    # (14): f is the soft minimum of the costs less g, over the atoms.
    atoms, eps = potentials.problem.atoms.y, potentials.problem.weight
    s = (potentials.g - (x[:, None] - atoms).square().sum(-1)) / eps
    expected = -eps * (torch.logsumexp(s, 1) - torch.log(torch.tensor(20.0)))
    torch.testing.assert_close(potentials.on(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "load", "says"),
    [
        ("pixel", load_critic, "PixelSinkhorn has no critic, so .* holds none$"),
        ("pixel", load_potentials, "PixelSinkhorn keeps no potentials, so .* holds none$"),
        ("swgan", load_critic, "SWGAN has no critic.*load_potentials gives"),
        ("wgan", load_potentials, "WGAN keeps no potentials.*load_critic gives"),
    ],
)
def test_a_run_without_one_says_so(name: str, load: Callable[[RunDir], object], says: str, trained: Trained) -> None:
    run = trained(name).run
    input_error(says, load, run)


def test_a_run_without_a_checkpoint_says_so(trained: Trained) -> None:
    run = trained("wgan").run
    run.checkpoints.rename(run.path / "aside")
    input_error("no checkpoint", load_critic, run)


def test_a_checkpoint_with_the_former_names_is_still_read(trained: Trained) -> None:
    trainer = trained("swgan")
    folder, x = checkpoint.newest(trainer.run.checkpoints), torch.ones(3, 2)
    expected = load_potentials(trainer.run)(x, x)  # type: ignore[operator]
    (folder / "potentials.safetensors").rename(folder / "cross.player.safetensors")
    sum_again(folder)
    found = load_potentials(trainer.run)(x, x)  # type: ignore[operator]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    to_end(resumed(replace(trainer.config, steps=4), trainer))
    names = {file.name for file in checkpoint.newest(trainer.run.checkpoints).iterdir()}
    assert "potentials.safetensors" in names
    assert "cross.player.safetensors" not in names
