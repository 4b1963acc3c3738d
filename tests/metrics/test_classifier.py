from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.metrics import (
    DigitClassifier,
    DigitFeatures,
    classifier,
    digit_classifier_card,
    load_digit_classifier,
)

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def test_it_is_small_frozen_and_in_eval_mode() -> None:
    network = load_digit_classifier()
    count = sum(p.numel() for p in network.parameters())
    assert count == digit_classifier_card().parameters < 250_000
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert all(p.device.type == "cpu" and p.dtype == torch.float32 for p in network.parameters())


def test_the_card_is_that_of_the_weights() -> None:
    data = (resources.files("otgen.metrics") / "weights" / classifier.WEIGHTS).read_bytes()
    card = digit_classifier_card()
    assert hashlib.sha256(data).hexdigest() == card.sha256
    assert len(data) < 1_000_000
    assert card.test_accuracy > 0.99
    assert card.training["seed"] == 0
    assert DigitFeatures().name == f"digits-{card.sha256[:12]}"


def test_loading_draws_no_random_number_and_gives_the_same_network() -> None:
    before = torch.get_rng_state()
    a, b = load_digit_classifier(), load_digit_classifier()
    assert torch.equal(torch.get_rng_state(), before)
    assert a is not b
    assert all(torch.equal(a.state_dict()[key], b.state_dict()[key]) for key in a.state_dict())


def test_the_shapes() -> None:
    network = load_digit_classifier()
    images = torch.zeros(3, 1, 28, 28)
    assert network.features(images).shape == (3, 64)
    assert network(images).shape == (3, 10)
    assert torch.equal(network(images), network.logits(network.features(images)))
    assert isinstance(network, DigitClassifier)


def test_the_baselines_are_in_order() -> None:
    rows = {row["fake"]: row for row in digit_classifier_card().baselines if row["real"] == "60,000 train"}
    real, noise = rows["10,000 test"], rows["10,000 of uniform noise"]
    assert 0 < real["frechet"] < rows["1,000 test"]["frechet"] < rows["100 test"]["frechet"] < noise["frechet"]
    assert 9 < real["classifier_score"] <= 10
    assert noise["classifier_score"] < 2


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    read = classifier._read
    monkeypatch.setattr(classifier, "_read", lambda name: read(name) + (b"x" if name == classifier.WEIGHTS else b""))
    with pytest.raises(InputError, match="damaged.*reinstall"):
        load_digit_classifier()


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "CARD", "no-such-file.json")
    with pytest.raises(InputError, match=r"no-such-file\.json, which this installation lacks"):
        digit_classifier_card()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    if not MNIST.is_dir():
        pytest.skip(f"the real digits are not there: {MNIST}")
    pixels = gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())
    images = torch.from_numpy(np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 1, 28, 28) / 255)
    return images.float(), torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))


def test_the_golden_accuracy(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    features = DigitFeatures()(images)
    assert features.probabilities is not None
    accuracy = (features.probabilities.argmax(1) == labels).double().mean().item()
    # Two digits of 10,000 may fall the other way on a machine that rounds differently.
    assert accuracy == pytest.approx(digit_classifier_card().test_accuracy, abs=2.1e-4)
    assert accuracy > 0.99


def test_real_features_have_their_unit(digits: tuple[Tensor, Tensor]) -> None:
    features = DigitFeatures()(digits[0][:2000]).values
    assert features.mean(0).abs().max() < 0.5
    assert 0.5 < features.var(0).min() < features.var(0).max() < 2
