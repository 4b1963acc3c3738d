from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cases.errors import input_error
from otgen.data import PixelSource, ValueRange


@dataclass(frozen=True, kw_only=True)
class Ramp(PixelSource):
    """Every byte once."""

    def pixels(self) -> Tensor:
        return torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)


def test_unit_is_a_byte_over_255() -> None:
    x = Ramp().support()
    assert Ramp().value_range == (0.0, 1.0)
    torch.testing.assert_close(x.flatten(), torch.arange(256) / 255)


def test_symmetric_reaches_both_ends_and_no_further() -> None:
    ramp = Ramp(pixel_range=ValueRange.SYMMETRIC)
    x = ramp.support()
    assert ramp.value_range == (x.min(), x.max()) == (-1.0, 1.0)
    torch.testing.assert_close(x.flatten(), torch.arange(256) / 127.5 - 1)


def test_bytes_come_back_from_floats() -> None:
    for kind in ValueRange:
        low, high = kind.bounds
        x = Ramp(pixel_range=kind).support()
        assert torch.equal(((x - low) / (high - low) * 255).round().to(torch.uint8), Ramp().pixels())


def test_take_converts_only_what_it_returns() -> None:
    assert torch.equal(Ramp().take(torch.tensor([3])), Ramp().support()[3:])


def test_the_string_of_a_range_will_do() -> None:
    assert Ramp(pixel_range="symmetric").pixel_range is ValueRange.SYMMETRIC  # type: ignore[arg-type]


def test_an_unknown_range_is_refused() -> None:
    input_error("pixel_range is unknown: got 'tanh'; choose one of: 'unit', 'symm", Ramp, pixel_range="tanh")
