"""The convex critic: its step, its ends, and what it finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.checks import refused
from cases.trainers import finished, trainer_of
from otgen.data import Arrays, Gaussian1D, Gaussian2D, Gaussians8, Mixture, Normal, Source
from otgen.methods import SCO, Adam, Cells
from otgen.nets import GeneratorNet, LocationScale, LocationScaleMap, MlpGenerator
from otgen.ot import Outside, Stencil
from otgen.train import RunConfig, RunDir, Trainer, checkpoint

LINE = SCO(cells=Cells(low=-8.0, high=8.0, count=160))
PLANE = SCO(cells=Cells(low=-5.0, high=5.0, count=32))
ALPHA = LINE.lr


def _trainer(
    tmp_path: Path, data: Source, method: SCO, generator: GeneratorNet, steps: int = 1000, name: str = "run"
) -> Trainer:
    return trainer_of(method, tmp_path / name, data, generator, steps=steps)


def _parameters(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    module = trainer.state.method.generator.module
    assert isinstance(module, LocationScaleMap)
    return module.location.detach(), module.scale.detach()


@pytest.mark.parametrize(
    ("mean", "std", "start"),
    [(0.4, 1.0, (0.0, 1.0)), (0.2, 1.4, (0.0, 1.0)), (-0.3, 0.5, (0.0, 0.7))],
    ids=["means", "spreads", "both"],
)
def test_on_a_line_it_ends_within_a_step_of_the_truth(
    mean: float, std: float, start: tuple[float, float], tmp_path: Path
) -> None:
    generator = LocationScale(location=start[:1], scale=start[1:])
    trainer = _trainer(tmp_path, Gaussian1D(mean=mean, std=std), LINE, generator)
    loss = finished(trainer)
    location, scale = _parameters(trainer)
    assert trainer.state.settled
    assert trainer.state.step < 150
    assert loss <= 0.8 * ALPHA
    assert abs(location.item() - mean) <= ALPHA
    assert abs(scale.item() - std) <= ALPHA


@pytest.mark.parametrize("stencil", list(Stencil))
def test_on_a_plane_too(stencil: Stencil, tmp_path: Path) -> None:
    data = Gaussian2D(mean=(0.2, -0.1), std=(1.2, 0.9))
    trainer = _trainer(tmp_path, data, replace(PLANE, stencil=stencil), LocationScale())
    finished(trainer)
    location, scale = _parameters(trainer)
    assert trainer.state.settled
    assert trainer.state.step < 150
    assert (location - data.centres()[0]).abs().max() <= ALPHA
    assert (scale - data.spread()).abs().max() <= ALPHA


@pytest.mark.parametrize("data", [Gaussian1D(mean=0.3, std=2.0), Gaussian2D(mean=(1.0, 0.0), std=(1.0, 2.0))])
def test_an_identical_pair_has_distance_0_and_stays(data: Mixture, tmp_path: Path) -> None:
    location, scale = tuple(data.centres()[0].tolist()), tuple(data.spread().tolist())
    generator = LocationScale(location=location, scale=scale)
    method = replace(LINE if data.shape == (1,) else PLANE, stop=0.0, patience=0)
    trainer = _trainer(tmp_path, data, method, generator, steps=5)
    assert finished(trainer) == 0
    parameters = _parameters(trainer)
    assert parameters[0].tolist() == list(location)
    assert parameters[1].tolist() == list(scale)
    assert trainer.state.step == 5
    ended = _trainer(tmp_path, data, replace(method, stop=None), generator)
    assert finished(ended) == 0
    assert ended.state.step == 1


def test_a_step_is_algorithm_2(tmp_path: Path) -> None:
    # Means apart, spreads alike: the critic climbs by 1 everywhere, and the mean of its gradient is 1 for the
    # location and the mean of z for the scale.
    trainer = _trainer(tmp_path, Gaussian1D(mean=1.0), LINE, LocationScale())
    z = Normal(dim=1).sample(LINE.batch, torch.Generator().set_state(trainer.state.latent_rng.get_state()))
    logged = trainer.step()
    location, scale = _parameters(trainer)
    assert location.item() == pytest.approx(ALPHA, rel=1e-5)
    assert scale.item() == pytest.approx(1 + ALPHA * z.mean().item(), rel=1e-5)
    # W1 of two normal laws that differ in the mean is the difference, whatever the grid.
    assert float(logged.values["loss"]) == pytest.approx(1.0, rel=1e-5)
    assert float(logged.values["lower"]) <= 1.0 + 1e-5
    assert float(logged.values["upper"]) >= 1.0 - 1e-5


def test_adam_may_take_the_place_of_plain_descent(tmp_path: Path) -> None:
    method = replace(LINE, adam=Adam(lr=0.02, beta1=0.0), patience=0)
    trainer = _trainer(tmp_path, Gaussian1D(mean=0.5), method, LocationScale(), steps=40)
    finished(trainer)
    assert trainer.state.step == 40  # no test of its own ends it
    assert _parameters(trainer)[0].item() == pytest.approx(0.5, abs=0.03)


def test_a_run_that_no_longer_falls_ends(tmp_path: Path) -> None:
    # The generator cannot make the data: W has a floor that nobody told it.
    method = replace(PLANE, lr=0.02, patience=20, tol=0.05)
    trainer = _trainer(tmp_path, Gaussians8(), method, LocationScale(scale=(0.5,)))
    loss = finished(trainer)
    assert trainer.state.settled
    assert 40 <= trainer.state.step < 500
    assert loss > 0.1


def test_masses_of_any_generator_come_from_samples(tmp_path: Path) -> None:
    method = replace(PLANE, samples=2000, tol=0.05, lr=0.05, patience=0, stop=0.0)
    data = Gaussian2D(mean=(1.0, 1.0), std=(0.5, 0.5))
    trainer = _trainer(tmp_path, data, method, MlpGenerator(widths=(16,)), steps=25)
    losses = [float(trainer.step().values["loss"]) for _ in range(25)]
    assert losses[-1] < 0.6 * losses[0]


def test_it_goes_on_bit_for_bit(tmp_path: Path) -> None:
    data = Gaussian2D(mean=(0.5, 0.0), std=(1.0, 1.0))
    whole = _trainer(tmp_path, data, PLANE, LocationScale(), steps=6)
    first = _trainer(tmp_path, data, PLANE, LocationScale(), steps=6, name="other")
    for _ in range(3):
        first.step()
    checkpoint.save(tmp_path / "saved", first.state, first.shapes, keep=1)
    second = _trainer(tmp_path, data, PLANE, LocationScale(), steps=6, name="another")
    checkpoint.load(checkpoint.newest(tmp_path / "saved"), second.state)
    assert finished(whole) == finished(second)
    assert all(torch.equal(a, b) for a, b in zip(_parameters(whole), _parameters(second), strict=True))


def test_a_run_that_ended_itself_stays_at_its_end(tmp_path: Path) -> None:
    data, generator = Gaussian1D(), LocationScale(location=(0.02,))
    ended = _trainer(tmp_path, data, LINE, generator)
    finished(ended)
    checkpoint.save(tmp_path / "saved", ended.state, ended.shapes, keep=1)
    later = _trainer(tmp_path, data, LINE, generator, name="later")
    assert later.progress < 1
    checkpoint.load(checkpoint.newest(tmp_path / "saved"), later.state)
    assert later.progress == 1


def test_data_outside_the_grid_are_refused_or_left_out_and_never_moved(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.array([[0.0, 1.0], [2.0, -1.0], [9.0, 0.0]], dtype=np.float32))
    data, generator = Arrays(path=str(tmp_path / "points.npy")), MlpGenerator(widths=(4,))

    message = r"1 of 3 data points are outside SCO's grid, \[-5\.0, 5\.0\].*span \[-1, 9\]"
    refused(message, _trainer, tmp_path, data, PLANE, generator)
    masses = _trainer(tmp_path, data, replace(PLANE, outside=Outside.DROP), generator).state.method.data
    assert masses.max().item() == pytest.approx(0.5)


def test_the_grid_left_out_holds_the_data_and_the_generator(tmp_path: Path) -> None:
    points = 20 + 2 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "points.npy", points.numpy())
    data, method = Arrays(path=str(tmp_path / "points.npy")), SCO(samples=500, lr=0.5, tol=0.1, stop=0.0, patience=0)
    trainer = _trainer(tmp_path, data, method, MlpGenerator(widths=(8,)), steps=30)
    grid = trainer.state.method.grid
    assert grid.low < -1
    assert grid.high > points.max()
    # The generator begins far from the data, but inside: it has a slope to go by.
    losses = [float(trainer.step().values["loss"]) for _ in range(30)]
    assert losses[0] > 20
    assert losses[-1] < 0.5 * losses[0]
    assert Trainer(trainer.config, RunDir(tmp_path / "again")).state.method.grid == grid
    # A normal law has no last point: four standard deviations are held.
    line = _trainer(tmp_path, Gaussian1D(mean=50.0, std=5.0), SCO(), LocationScale()).state.method.grid
    assert line.high == pytest.approx(70 + (line.high - line.low) / 6)


def test_data_that_fit_no_grid_are_refused(tmp_path: Path) -> None:
    point, message = Gaussian1D(mean=0.05, std=0.0), "standard deviation is 0 of a cell.*count above 160"
    refused(message, _trainer, tmp_path, point, LINE, LocationScale())
    deep, run = RunConfig(latent=Normal(dim=16), method=LINE, steps=1), RunDir(tmp_path / "deep")
    refused(r"grid of one or two dimensions, and samples have shape \(1, 28, 28\)", Trainer, deep, run)
    # The generator cannot make such data either; the method's reason comes first.
    deep = replace(deep, generator=LocationScale())
    refused(r"grid of one or two dimensions.*--method PixelSinkhorn", Trainer, deep, run)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"tol": 0.0}, {"lr": 0.0}, {"stop": -1.0}, {"patience": -1}])
def test_hyper_parameters_are_checked(wrong: dict[str, float]) -> None:
    refused("must be", SCO, **wrong)
