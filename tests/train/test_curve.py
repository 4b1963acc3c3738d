"""Small evaluations along a run, for the curve that the verdict reads."""

from __future__ import annotations

import itertools
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.trainers import Start, gone_on, signals_at, to_end
from otgen.data import Arrays, Digits, FiniteSource, Gaussian2D, training_part
from otgen.train import RunConfig
from otgen.train.curve import Curve, allowed_seconds, ruler_of
from otgen.train.hooks import Checkpoints, Evaluations
from otgen.train.ruler import Ruler


def _drawn(config: RunConfig, **settings: int) -> RunConfig:
    return replace(config, trainer=replace(config.trainer, **settings))


def _naive_energy(x: Tensor, y: Tensor) -> float:
    def mean(a: Tensor, b: Tensor) -> float:
        return float((a[:, None] - b[None]).norm(dim=2).mean())

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_energy_distance_is_that_of_the_definition(shift: float) -> None:
    ruler = Ruler(Gaussian2D(), 30, 0)
    samples = torch.randn(25, 2, generator=torch.Generator().manual_seed(1)) + shift
    reference = (ruler._reference.values + ruler._centre).float()
    assert ruler.measure(samples)["energy"] == pytest.approx(_naive_energy(samples, reference), rel=1e-5)


def test_few_unseen_samples_are_compared_with_as_few(tmp_path: Path) -> None:
    """Of 300 points 30 are held out: what samples of the same law are told to be at does not depend on how many."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "points.npy", rng.normal(size=(300, 2)))
    data = training_part(Arrays(path=str(tmp_path / "points.npy")), 0.1)
    assert isinstance(data, FiniteSource)
    unseen = data.held_out()
    assert unseen is not None
    ruler = Ruler(data, 100, 0)
    assert ruler.matched == unseen.count < 50
    for count in (600, 6000):
        found = ruler.measure(torch.from_numpy(rng.normal(size=(count, 2))).float())
        assert 0.75 < found["energy"] / found["energy_real"] < 1.33
    # The mean over choices of the unseen ones, by drawing them.
    real = torch.cat([data.support(), unseen.support()]).double()
    drawn = [real[torch.randperm(len(real), generator=torch.Generator().manual_seed(k))] for k in range(60)]
    naive = [_naive_energy(x[: unseen.count], x[unseen.count :][: ruler.references]) for x in drawn]
    assert found["energy_real"] == pytest.approx(sum(naive) / len(naive), rel=0.1)


def test_samples_of_the_law_are_as_far_as_real_ones_and_others_farther() -> None:
    ruler = Ruler(Gaussian2D(), 500, 0)
    rng = torch.Generator().manual_seed(1)
    good = ruler.measure(torch.randn(500, 2, generator=rng))
    assert good["energy"] < 3 * good["energy_real"]
    assert good["spread"] == pytest.approx(1, abs=0.1)
    wide = ruler.measure(2 * torch.randn(500, 2, generator=rng))
    assert wide["energy"] > 10 * wide["energy_real"]
    assert wide["spread"] == pytest.approx(2, abs=0.2)
    assert ruler.measure(torch.zeros(500, 2))["spread"] == 0


def test_blur_and_noise_of_images_are_seen_in_their_detail() -> None:
    data = Digits()
    ruler = Ruler(data, 100, 0)
    assert ruler.seconds_per_sample > 0
    images = data.take(torch.arange(0, 4500, 45))
    found = ruler.measure(images)
    assert set(found) == {"frechet", "frechet_real", "spread", "detail"}
    assert found["frechet"] < 3 * found["frechet_real"]
    assert found["detail"] == pytest.approx(1, abs=0.15)
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    noisy = images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    assert ruler.measure(blurred)["detail"] < 0.6
    assert ruler.measure(noisy)["detail"] > 1.5
    assert ruler.measure(blurred)["frechet"] > 3 * found["frechet"]


@pytest.mark.parametrize("by", [3, 1])
def test_points_come_evenly_and_the_last_at_the_end(by: int, tiny: RunConfig, start: Start) -> None:
    trainer = to_end(start(_drawn(tiny, curve_points=by, eval_samples=20), hooks=[Curve()]))
    records = trainer.run.read_curve()
    assert [record["step"] for record in records] == [3, 6, 8][-by:]
    assert {(record["samples"], record["references"]) for record in records} == {(20, 40)}
    assert len({record["energy_real"] for record in records}) == 1
    assert trainer.run.read_evaluations() == []
    assert records[-1]["elapsed"] == trainer.state.elapsed


@pytest.mark.parametrize(("stop", "at"), [(2, [2, 4, 6, 8]), (5, [2, 4, 6, 8])])
def test_a_resumed_run_has_the_curve_of_one_that_was_not_stopped(
    stop: int, at: list[int], tiny: RunConfig, start: Start
) -> None:
    config = _drawn(tiny, eval_samples=20, checkpoint_every=3)
    whole = to_end(start(config, "whole", [Curve(), Checkpoints()]))
    first = to_end(start(config, "stopped", [signals_at(stop, signal.SIGINT), Curve(), Checkpoints()]))
    again = gone_on(config, first, Curve(), Checkpoints())
    without = [
        [{key: value for key, value in record.items() if key != "elapsed"} for record in trainer.run.read_curve()]
        for trainer in (whole, again)
    ]
    assert without[0] == without[1]
    assert [record["step"] for record in without[0]] == at


def test_the_curve_changes_nothing_of_the_run(learnt: RunConfig, start: Start) -> None:
    config = _drawn(learnt, eval_samples=20)
    states = [to_end(start(config, name, hooks)).state for name, hooks in (("a", [Curve()]), ("b", []))]
    one, other = (state.method.generator.module.state_dict() for state in states)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_curve_that_costs_too_much_is_left_out(tiny: RunConfig, start: Start) -> None:
    ticks = itertools.count(step=10)
    curve = Curve([lambda: float(next(ticks))])  # whatever it does takes ten seconds
    trainer = to_end(start(_drawn(tiny, eval_samples=20), hooks=[curve]))
    assert trainer.run.read_curve() == []
    assert curve.spent == 10


def test_the_last_point_has_its_time_kept(tiny: RunConfig, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # 0.5 s to get ready, 0.5 s a point, 2 s in all: at the quarter, at the half, and at the end.
    ticks = itertools.count()
    trainer = start(_drawn(tiny, eval_samples=20), hooks=[Curve([lambda: next(ticks) / 2])])
    trainer.train()
    assert [record["step"] for record in trainer.run.read_curve()] == [2, 4, 8]


def test_at_most_a_twentieth_of_the_training_is_spent() -> None:
    assert allowed_seconds(1200) == 60
    assert allowed_seconds(1) == 2


def test_a_run_that_is_evaluated_in_full_has_no_other_curve(tiny: RunConfig, start: Start) -> None:
    assert ruler_of(tiny, tiny.data) is not None
    assert ruler_of(_drawn(tiny, eval_points=4), tiny.data) is None
    assert ruler_of(_drawn(tiny, curve_points=0), tiny.data) is None
    trainer = to_end(start(_drawn(tiny, eval_points=4, eval_samples=20), hooks=[Curve(), Evaluations()]))
    assert trainer.run.read_curve() == []
    assert len(trainer.run.read_evaluations()) == 4


@pytest.mark.parametrize(("rows", "points"), [(3, 0), (4, 2), (9, 2)])
def test_a_few_data_are_enough_or_there_is_no_curve(
    rows: int, points: int, tiny: RunConfig, start: Start, tmp_path: Any
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32))
    config = replace(tiny, data=Arrays(path=str(tmp_path / "x.npy")), holdout=0.0)
    config = replace(_drawn(config, curve_points=2, eval_samples=20), method=replace(config.method, batch=rows))
    trainer = to_end(start(config, hooks=[Curve()]))
    assert len(trainer.run.read_curve()) == points


def test_constant_data_have_no_spread(tiny: RunConfig, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", np.ones((8, 2), dtype=np.float32))
    found = Ruler(Arrays(path=str(tmp_path / "x.npy")), 4, 0).measure(torch.ones(4, 2))
    assert found == {"energy": 0.0, "energy_real": 0.0}


def test_beside_other_work_only_its_own_time_counts(tiny: RunConfig, start: Start) -> None:
    wall = itertools.count(step=10)
    trainer = to_end(start(_drawn(tiny, eval_samples=20), hooks=[Curve([lambda: float(next(wall)), lambda: 0.0])]))
    assert len(trainer.run.read_curve()) == 4
