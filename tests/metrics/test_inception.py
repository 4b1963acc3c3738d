from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from otgen.errors import MissingDependency
from otgen.metrics import InceptionFeatures

IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class FeatureExtractorInceptionV3:
    """What of torch-fidelity's network is used, with another inside."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
        assert (name, features_list) == ("inception-v3", ["2048", "logits"])
        self.weights = torch.load(feature_extractor_weights_path, weights_only=True)["w"]

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        assert pixels.dtype == torch.uint8
        values = pixels.flatten(1).float() * self.weights
        return values, values[:, :7]


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights, with a torch-fidelity to read it."""
    module: Any = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = FeatureExtractorInceptionV3
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch.save({"w": torch.tensor(2.0)}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_images_are_read_as_bytes(weights: Path) -> None:
    extract = InceptionFeatures(weights=str(weights), batch=2)
    found = extract(IMAGES)
    torch.testing.assert_close(found.values, 2 * (255 * IMAGES).round().flatten(1))
    assert found.probabilities is not None
    assert found.probabilities.shape == (5, 7)
    assert found.name == extract.name
    assert found.name.startswith("inception-")
    assert extract.resizing((3, 4, 4)) == "to 299 x 299, bilinear as in TensorFlow 1"


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingDependency, match=r"pip install 'otgen\[fidelity\]'"):
        InceptionFeatures(weights=str(tmp_path / "weights.pth"))(IMAGES)


def test_missing_weights_are_named_and_nothing_is_downloaded(weights: Path) -> None:
    weights.unlink()
    refused(
        "weights-inception-2015-12-05-6726825d.pth from torch-fidelity", InceptionFeatures(weights=str(weights)), IMAGES
    )


def test_weights_that_are_code_are_not_run(weights: Path) -> None:
    class Marks:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (weights.with_name("mark"),)

    torch.save({"w": Marks()}, weights)
    refused("the weights of Inception cannot be used", InceptionFeatures(weights=str(weights)), IMAGES)
    assert not weights.with_name("mark").exists()


def test_other_images_are_refused(weights: Path) -> None:
    extract = InceptionFeatures(weights=str(weights))
    refused(r"reads colour images \(n, 3, H, W\)", extract, torch.zeros(3, 1, 4, 4))
    refused(r"Inception reads values in \[0, 1\]", extract, IMAGES - 1)
    refused("batch must be at least 1", InceptionFeatures, weights="x", batch=0)
