from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from cases.checks import refusals, refused
from otgen.metrics import CifarFeatures, ClassifierFeatures, DigitFeatures, Features, Identity, load_cifar_classifier

DIGITS, CIFAR = DigitFeatures(), CifarFeatures()
every_classifier = pytest.mark.parametrize("extract", [DIGITS, CIFAR])


def images(n: int, shape: tuple[int, ...] = (1, 28, 28), seed: int = 0) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def test_identity_flattens_and_keeps_the_dtype() -> None:
    samples = torch.arange(24, dtype=torch.float64).reshape(2, 3, 4)
    features = Identity()(samples)
    assert torch.equal(features.values, samples.reshape(2, 12))
    assert features.values.dtype == torch.float64
    assert features.probabilities is None
    assert features.name == Identity().name == "identity"
    assert len(features) == 2


def test_identity_keeps_no_graph() -> None:
    assert not Identity()(torch.ones(2, 3, requires_grad=True)).values.requires_grad


@every_classifier
def test_features_of_a_classifier_have_their_shapes(extract: ClassifierFeatures) -> None:
    features = extract(images(5, extract.kind.image_shape))
    assert features.values.shape == (5, 64)
    assert features.probabilities is not None
    assert features.probabilities.shape == (5, 10)
    torch.testing.assert_close(features.probabilities.sum(1), torch.ones(5))
    assert features.name == type(extract)().name


@pytest.mark.parametrize("batch", [1, 7, 29, 1000])
@every_classifier
def test_features_of_a_classifier_do_not_depend_on_the_batch(extract: ClassifierFeatures, batch: int) -> None:
    samples = images(30, extract.kind.image_shape)
    whole, parts = extract(samples), dataclasses.replace(extract, batch=batch)(samples)
    torch.testing.assert_close(parts.values, whole.values, rtol=0, atol=1e-4)
    torch.testing.assert_close(parts.probabilities, whole.probabilities, rtol=0, atol=1e-5)


@every_classifier
def test_features_of_a_sample_do_not_depend_on_its_company(extract: ClassifierFeatures) -> None:
    samples = images(20, extract.kind.image_shape)
    alone = torch.cat([extract(sample[None]).values for sample in samples])
    torch.testing.assert_close(alone, extract(samples).values, rtol=0, atol=1e-4)


def test_the_layout_in_memory_does_not_matter() -> None:
    samples, network = images(8, (3, 32, 32)), load_cifar_classifier()
    by_hand = network.neck(network.trunk((samples - network.centre) / network.spread))  # planes, as they came
    torch.testing.assert_close(CifarFeatures()(samples).values, by_hand, rtol=0, atol=1e-4)


def test_classifiers_do_not_share_a_name() -> None:
    assert DigitFeatures().name.startswith("digits-")
    assert CifarFeatures().name.startswith("cifar10-")


def test_extraction_leaves_the_random_state_and_the_gradients_alone() -> None:
    before = torch.get_rng_state()
    features = DigitFeatures()(images(3).requires_grad_())
    assert torch.equal(torch.get_rng_state(), before)
    assert not features.values.requires_grad


def test_features_refuse_what_is_not_finite() -> None:
    values = torch.zeros(4, 2)
    values[1, 0] = torch.nan
    values[3, 1] = torch.inf
    refused("2 of the 4 samples are NaN or infinite", Features, values=values, name="x")


@pytest.mark.parametrize("values", [torch.zeros(3), torch.zeros(0, 2), torch.zeros(2, 0), torch.zeros(2, 2).long()])
def test_features_refuse_other_shapes_and_dtypes(values: Tensor) -> None:
    refused(r"shape \(n, k\)", Features, values=values, name="x")


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (torch.full((3, 2), 0.5), "n = 2"),
        (torch.full((2,), 0.5), "n = 2"),
        (torch.full((2, 2), 0.6), "sum to 1"),
        (torch.tensor([[1.5, -0.5], [0.5, 0.5]]), "non-negative"),
        (torch.full((2, 2), torch.nan), "softmax"),
    ],
)
def test_features_refuse_what_are_no_probabilities(probabilities: Tensor, message: str) -> None:
    refused(message, Features, values=torch.zeros(2, 1), probabilities=probabilities, name="x")


test_features_refuse_what_they_cannot_read = refusals(
    [
        (lambda: DIGITS(torch.zeros(2, 28, 28)), r"\(n, 1, 28, 28\).*got \(2, 28, 28\).*reshape"),
        (lambda: DIGITS(torch.zeros(2, 3, 32, 32)), r"got \(2, 3, 32, 32\)"),
        (lambda: DIGITS(torch.zeros(0, 1, 28, 28)), "n >= 1"),
        (lambda: DIGITS(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)), "divide bytes by 255"),
        (lambda: DIGITS(torch.full((2, 1, 28, 28), -0.5)), r"got \[-0.5, -0.5\].*map \[-1, 1\]"),
        (lambda: DIGITS(torch.full((2, 1, 28, 28), torch.nan)), "NaN"),
        (lambda: CIFAR(images(2)), r"the CIFAR classifier reads images of shape \(n, 3, 32, 32\).*Identity"),
        (lambda: Identity()(torch.zeros(3)), "write n numbers as"),
        (lambda: DigitFeatures(batch=0), "batch must be at least 1"),
    ]
)


def test_features_are_frozen_and_fit_their_gaussian_once() -> None:
    features = Identity()(torch.eye(3))
    assert features.gaussian is features.gaussian
    with pytest.raises(dataclasses.FrozenInstanceError):
        features.name = "other"  # type: ignore[misc]


def test_the_import_is_light() -> None:
    heavy = ("scipy", "ot", "safetensors", "matplotlib", "otgen.ot")
    code = f"import sys, otgen.metrics; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_images_of_another_side_are_resized_only_where_it_is_asked_for() -> None:
    large, extract = images(4, (3, 48, 64)), CifarFeatures(resized=True)
    refused(r"reads images of shape \(n, 3, 32, 32\)", CIFAR, large)
    shrunk = torch.nn.functional.interpolate(large, (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(extract(large).values, CIFAR(shrunk).values)
    assert extract.name == f"{CIFAR.name}-resized"
    assert extract.resizing((3, 48, 64)) == "to 32 x 32, bilinear with antialiasing"
    same = images(4, (3, 32, 32))
    assert torch.equal(extract(same).values, CIFAR(same).values)
    assert extract.resizing((3, 32, 32)) == CIFAR.resizing((3, 48, 64)) == Identity().resizing((3, 48, 64)) == "none"
    refused(r"reads values in \[0, 1\]", extract, large * 2 - 1)
    # White stays white.
    assert extract(torch.ones(2, 3, 50, 50)).values.isfinite().all()
