"""The generator of parameter-fit games."""

from __future__ import annotations

import pytest
import torch

from cases.errors import input_error
from otgen.nets import LocationScale


def test_it_is_an_affine_map_of_each_coordinate() -> None:
    module = LocationScale(location=(1.0, -2.0), scale=(0.5, 3.0)).build((2,), (2,), None)
    z = torch.tensor([[0.0, 0.0], [2.0, 1.0]])
    assert module(z).tolist() == [[1.0, -2.0], [2.0, 1.0]]
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {"location": (2,), "scale": (2,)}


def test_one_number_is_for_all_coordinates() -> None:
    module = LocationScale(location=(4.0,)).build((3,), (3,), None)
    assert (module.location.tolist(), module.scale.tolist()) == ([4.0] * 3, [1.0] * 3)


@pytest.mark.parametrize(
    ("latent", "shape", "span", "message"),
    [
        ((2,), (3,), None, r"got \(2,\) and \(3,\)"),
        ((4,), (2, 2), None, r"got \(4,\) and \(2, 2\)"),
        ((2,), (2,), (0.0, 1.0), r"cannot keep its samples in \(0\.0, 1\.0\)"),
    ],
)
def test_what_it_cannot_map_is_refused(
    latent: tuple[int, ...], shape: tuple[int, ...], span: tuple[float, float] | None, message: str
) -> None:
    input_error(message, LocationScale().build, latent, shape, span)


def test_a_wrong_number_of_values_is_refused() -> None:
    net = LocationScale(location=(1.0, 2.0))
    input_error("location must have one number, or one for each of 3", net.build, (3,), (3,), None)
