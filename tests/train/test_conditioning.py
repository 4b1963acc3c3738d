"""Every method trains on labels as it is, and what is trained is a generator that can be asked for one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.errors import input_error
from cases.labelled import Labelled
from cases.little_methods import LITTLE
from cases.trainers import Contents, Start, end, gone_on, resumed, to_end
from otgen import methods
from otgen.data import Normal, Source, fingerprint
from otgen.data.labelled import LabelledLatent
from otgen.methods import Adam, Method, PixelSinkhorn
from otgen.nets import DcganCritic, DcganGenerator, MlpGenerator
from otgen.ot import KL
from otgen.train import ConditionalGenerator, RunConfig, RunDir, Trainer, TrainerConfig, checkpoint, generate
from otgen.train.conditioning import data_fingerprint, of_samples
from otgen.train.hooks import Log, Pictures
from otgen.train.recording import recording

POINTS = Labelled(counts=(12, 8))
IMAGES = Labelled(counts=(12, 8), size=(1, 8, 8), span=(0.0, 1.0))
# What reads points of at most two dimensions, and says so.
PLANE = ("SCO",)
# One of each way to read a sample: by pixels, by convolutions, by a penalty, by atoms.
ON_IMAGES = ("pixel", "EOT-GAN", "WGAN-GP", "semi-discrete")
ON_LABELS = {name: method for name, method in LITTLE.items() if name not in PLANE}


def config_of(data: Source, method: Method[Any], **more: Any) -> RunConfig:
    shape = data.shape
    generator: Any = MlpGenerator(widths=(6,), batch_norm=True) if len(shape) == 1 else DcganGenerator(width=2)
    trainer = TrainerConfig(
        log_every=2, sample_every=10**6, checkpoint_every=10**6, eval_samples=40, threads=1, ema=0.9
    )
    settings = {"latent": Normal(dim=2), "generator": generator, "trainer": trainer, "steps": 2, **more}
    return RunConfig(data=data, method=method, **settings)


def with_critic(method: Method[Any]) -> Method[Any]:
    """With a critic that convolves, where it has a critic of samples."""
    named = {f.name for f in fields(method)}
    return replace(method, critic=DcganCritic(width=2)) if "critic" in named else method


@pytest.mark.parametrize(
    ("name", "data"),
    [(name, POINTS) for name in sorted(ON_LABELS)] + [(name, IMAGES) for name in ON_IMAGES],
)
def test_every_method_trains_on_labels(name: str, data: Labelled, tmp_path: Path) -> None:
    method = ON_LABELS[name] if data is POINTS else with_critic(ON_LABELS[name])
    trainer = Trainer(config_of(data, method), RunDir(tmp_path), [Log(), Pictures()])
    before = [p.detach().clone() for p in trainer.state.method.generator.module.parameters()]
    trainer.train()
    generator, latent = trainer.state.method.generator.module, trainer.laws.latent
    assert isinstance(generator, ConditionalGenerator)
    assert any(not torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True))
    pairs = generate(generator, latent, 9, torch.Generator().manual_seed(0))
    samples = generate(of_samples(generator), latent, 9, torch.Generator().manual_seed(0))
    assert samples.shape == (9, *data.size)
    torch.testing.assert_close(pairs[:, : data.size[0]], samples)
    # The planes of a label lie beyond the data's range, and nothing squeezes them into it.
    length = trainer.shapes.labels.length if trainer.shapes.labels else 0.0
    torch.testing.assert_close(pairs[:, data.size[0] :].flatten(1).norm(dim=1), torch.full((9,), length))


def test_every_method_is_under_this_contract() -> None:
    trained = {type(method) for method in LITTLE.values()}
    exported = {getattr(methods, name) for name in methods.__all__}
    kinds = {k for k in exported if isinstance(k, type) and issubclass(k, Method) and not k.__abstractmethods__}
    assert kinds <= trained


def test_a_method_of_the_plane_says_that_labels_are_beyond_it(tmp_path: Path) -> None:
    message = r"SCO's critic lives on a grid of one or two dimensions, and samples have shape \(4,\)"
    input_error(message, Trainer, config_of(POINTS, LITTLE["SCO"]), RunDir(tmp_path))


def test_without_labels_nothing_is_wrapped(start: Start, tiny: RunConfig) -> None:
    trainer = start(tiny)
    assert trainer.laws == (tiny.data, tiny.latent)
    assert trainer.shapes.labels is None
    assert not isinstance(trainer.state.method.generator.module, ConditionalGenerator)
    assert data_fingerprint(tiny.data) == fingerprint(tiny.data)
    about = checkpoint.read_about(end(trainer))
    assert "labels" not in about


def test_a_run_with_labels_is_continued_to_the_bit(start: Start, contents: Contents) -> None:
    game = LITTLE["EOT-GAN"]
    whole = config_of(POINTS, game, steps=6)
    straight = contents(end(start(whole)))
    first = to_end(start(replace(whole, steps=3), "first"))
    second = resumed(whole, first)
    assert contents(end(second)) == straight


def test_pictures_and_evaluations_change_nothing(start: Start, contents: Contents, tmp_path: Path) -> None:
    config = config_of(IMAGES, PixelSinkhorn(batch=12, reg=KL(eps=0.5), max_steps=4), steps=4)
    straight = contents(end(start(config)))
    watched = replace(config, trainer=replace(config.trainer, sample_every=1, eval_every=2))
    other = Trainer(watched, RunDir(tmp_path / "watched"), recording(Log(), watched.trainer))
    assert contents(end(other)) == straight


def test_data_with_other_labels_are_other_data(start: Start) -> None:
    config = config_of(Labelled(names=("a", "b")), PixelSinkhorn(batch=12, reg=KL(eps=0.5), max_steps=4), steps=2)
    first = to_end(start(config))
    other = replace(config, data=Labelled(names=("a", "c")), steps=4)
    assert fingerprint(other.data) == fingerprint(config.data)
    input_error("data: fingerprint", gone_on, other, first)


def test_each_label_gets_its_own_samples(tmp_path: Path) -> None:
    data = Labelled(counts=(40, 20, 40))
    method = PixelSinkhorn(batch=50, reg=KL(eps=0.1), max_steps=20, generator_optimizer=Adam(lr=0.02))
    config = config_of(data, method, steps=100, generator=MlpGenerator(widths=(16,)))
    trainer = to_end(Trainer(config, RunDir(tmp_path)))
    latent = trainer.laws.latent
    assert isinstance(latent, LabelledLatent)
    for label in range(3):
        samples = generate(of_samples(trainer.state.ema), latent.only(label), 200, torch.Generator().manual_seed(1))
        torch.testing.assert_close(samples.mean(0), torch.full((2,), float(label)), atol=0.15, rtol=0)
        assert float(samples.std(0).max()) < 0.35


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_the_weight_of_a_label_is_positive(weight: float) -> None:
    input_error("label_weight must be positive", RunConfig, steps=1, label_weight=weight)


def test_a_latent_law_of_another_shape_is_refused() -> None:
    class Grid(Normal):
        @property
        def shape(self) -> tuple[int, ...]:
            return (2, 2)

    config = config_of(POINTS, ON_LABELS["pixel"], latent=Grid())
    input_error(
        r"labels go with latent vectors \(d,\), got codes of shape \(2, 2\)", Trainer, config, RunDir(Path("x"))
    )
