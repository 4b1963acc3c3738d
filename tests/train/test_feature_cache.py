"""Features of the data are computed once a run, and what is kept is used only if it is theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cases.checks import refused
from otgen.data import Arrays, Cifar10, Digits, FiniteSource, Gaussians8, ImageFolder, Normal, training_part
from otgen.errors import DamageWarning
from otgen.metrics import CifarFeatures, DigitFeatures, Extractor, Features, Identity, InceptionFeatures
from otgen.train import RunConfig, RunDir, evaluate
from otgen.train.feature_cache import FeatureCache
from otgen.train.feature_sets import default_extractor, feature_sets, is_of_its_classes
from otgen.train.manifest import Sum


@dataclass(frozen=True)
class Counting(Extractor):
    """Sums of rows; counts the samples it has seen."""

    word: str = "sums-1234"
    factor: float = 1.0
    seen: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.word

    def __call__(self, samples: Tensor) -> Features:
        self.seen.append(len(samples))
        rows = samples.flatten(1)
        values = self.factor * torch.stack([rows.sum(1), rows.square().sum(1)], 1)
        return Features(values=values, probabilities=values.softmax(1), name=self.name)


SAMPLES = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(tiny: RunConfig, tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", tiny)


def kept(run: RunDir) -> list[Path]:
    return sorted(run.evaluations.glob("features-*"))


def ask(run: RunDir, extract: Counting, samples: Tensor = SAMPLES, mark: str = "data") -> Features:
    return FeatureCache(run).features(extract, samples, extractor=extract.name, fingerprint=mark)


def equal(one: Features, other: Features) -> bool:
    assert one.probabilities is not None
    assert other.probabilities is not None
    return torch.equal(one.values, other.values) and torch.equal(one.probabilities, other.probabilities)


def test_they_are_computed_once(run: RunDir) -> None:
    first, later = Counting(), Counting()
    assert equal(ask(run, first), ask(run, later))
    # The second time a few rows only, to see that they are what was kept.
    assert (first.seen, later.seen) == ([40], [8])
    assert len(kept(run)) == 2


def test_another_extractor_and_other_data_have_their_own(run: RunDir) -> None:
    ask(run, Counting())
    other = Counting(word="sums-5678", factor=2.0)
    assert torch.equal(ask(run, other).values, Counting(factor=2.0)(SAMPLES).values)
    moved = ask(run, Counting(), SAMPLES + 1, mark="others")
    assert torch.equal(moved.values, Counting()(SAMPLES + 1).values)
    assert len(kept(run)) == 6


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def of_others(about: Path) -> None:
    """Kept under this name, but made by another extractor."""
    about.write_text(json.dumps(json.loads(about.read_text()) | {"extractor": "foreign"}))


def swapped(table: Path) -> None:
    """Whole, with a sum that fits, and with the numbers of something else."""
    tensors = {name: tensor * 1.01 for name, tensor in load_file(table).items()}
    save_file(tensors, table)
    about = table.with_suffix(".json")
    record = json.loads(about.read_text()) | {"sha256": Sum.of(table.read_bytes()).sha256}
    about.write_text(json.dumps(record))


def linked(table: Path) -> None:
    table.rename(table.parent.parent / "elsewhere")
    table.symlink_to(table.parent.parent / "elsewhere")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit": (flip, "safetensors"),
    "empty": (lambda path: path.write_bytes(b""), "safetensors"),
    "gone": (lambda path: path.unlink(), "safetensors"),
    "link": (linked, "safetensors"),
    "no JSON": (lambda path: path.write_text("{"), "json"),
    "a list": (lambda path: path.write_text("[]"), "json"),
    "foreign": (of_others, "json"),
    "swapped": (swapped, "safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_or_foreign_is_computed_anew_with_a_word(damage: str, run: RunDir) -> None:
    right = ask(run, Counting())
    change, ending = DAMAGE[damage]
    change(next(path for path in kept(run) if path.suffix == f".{ending}"))
    again = Counting()
    with pytest.warns(DamageWarning, match="computed anew") as said:
        found = ask(run, again)
    assert equal(found, right)
    assert 40 in again.seen
    assert len(said) == 1
    if damage != "link":
        last = Counting()
        assert equal(ask(run, last), right)
        assert last.seen == [8]


def test_what_cannot_be_kept_is_used_all_the_same(run: RunDir) -> None:
    run.evaluations.rmdir()
    run.evaluations.write_text("in the way")
    with pytest.warns(DamageWarning, match="cannot be kept|not used"):
        found = ask(run, Counting())
    assert equal(found, Counting()(SAMPLES))


def test_few_rows_and_no_probabilities(run: RunDir) -> None:
    for _ in range(2):
        found = FeatureCache(run).features(Identity(), SAMPLES[:3], extractor="identity", fingerprint="few")
        assert torch.equal(found.values, SAMPLES[:3])


def test_an_evaluation_computes_the_features_of_the_data_once(run: RunDir, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(120, 3)))
    data = training_part(Arrays(path=str(tmp_path / "points.npy")), 0.1)
    generator, first, later = _Line(), Counting(), Counting()
    results = [
        evaluate(generator, Normal(dim=2), data, 30, 0, extractor=each, cache=FeatureCache(run))
        for each in (first, later)
    ]
    assert results[0].values == results[1].values
    assert isinstance(data, FiniteSource)
    rest = 120 - data.count
    assert (first.seen, later.seen) == ([30, data.count, rest], [30, 8, min(rest, 8)])
    names = {path.name for path in kept(run)}
    # What it keeps must not be taken for a step's file when a run is continued.
    run.forget_after(0)
    assert {path.name for path in kept(run)} == names


class _Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.direction = torch.nn.Parameter(torch.ones(3))

    def forward(self, z: Tensor) -> Tensor:
        return self.direction * z[:, :1]


def test_which_extractor_suits_the_data(tmp_path: Path) -> None:
    assert isinstance(default_extractor(Digits()), DigitFeatures)
    assert isinstance(default_extractor(Digits(pixel_range="symmetric", padding=2)), DigitFeatures)
    for pixels in ("unit", "symmetric"):
        assert isinstance(default_extractor(ImageFolder(folder="x", pixel_range=pixels)), CifarFeatures)
    assert default_extractor(ImageFolder(folder="x", size=64)) is None
    assert default_extractor(ImageFolder(folder="x", channels=1)) is None
    assert default_extractor(Gaussians8()) is None
    torch.save(None, tmp_path / "x")  # an array of images has no known range
    assert default_extractor(_Array(path=str(tmp_path / "x"))) is None


class _Array(Arrays):
    @property
    def shape(self) -> tuple[int, ...]:
        return (3, 32, 32)


def test_a_classifier_of_other_classes_is_no_classifier_of_the_data() -> None:
    """A folder of horses lacks nine of ten classes, and misses none."""
    digits, folder, cifar = Digits(), ImageFolder(folder="x"), Cifar10(folder="x")
    assert is_of_its_classes(DigitFeatures(), digits)
    assert is_of_its_classes(CifarFeatures(), cifar)
    assert not is_of_its_classes(CifarFeatures(), folder)
    assert not is_of_its_classes(Identity(), digits)
    assert is_of_its_classes(InceptionFeatures(weights="x"), folder)
    part = FiniteSource.part(Digits(split="all"), torch.arange(9), torch.arange(9, 12))
    assert is_of_its_classes(DigitFeatures(), part)
    assert isinstance(default_extractor(part), DigitFeatures)


def test_images_are_read_in_the_unit_interval_digits_without_their_border() -> None:
    plain, other = Digits(split="test"), Digits(split="test", pixel_range="symmetric", padding=2)
    one, same = (feature_sets(DigitFeatures(), data, data.support(), None).fake for data in (plain, other))
    torch.testing.assert_close(same.values, one.values, rtol=0, atol=1e-4)


def test_a_law_has_no_training_set_for_an_extractor() -> None:
    law = Gaussians8()
    refused("needs a data set: Gaussians8 is a law", feature_sets, Counting(), law, law.centres(), None)
