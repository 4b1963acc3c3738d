"""Sums and products with twice the digits, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from otgen.ot.core.extended import normalised, total, two_product, two_sum


def wild(n: int, seed: int) -> Tensor:
    """Numbers of both signs over forty decades."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=rng, dtype=torch.float64) * 10.0 ** torch.randint(-20, 20, (n,), generator=rng)


def exact(pair: tuple[Tensor, Tensor]) -> list[Fraction]:
    return [
        Fraction(high) + Fraction(low) for high, low in zip(*(part.flatten().tolist() for part in pair), strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_error_is_lost(seed: int) -> None:
    x, y = wild(50, seed), wild(50, seed + 100)
    assert exact(two_sum(x, y)) == [Fraction(u) + Fraction(v) for u, v in zip(x.tolist(), y.tolist(), strict=True)]
    assert exact(two_product(x, y)) == [Fraction(u) * Fraction(v) for u, v in zip(x.tolist(), y.tolist(), strict=True)]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1001])
@pytest.mark.parametrize("dim", [0, 1])
def test_a_sum_has_twice_the_digits(n: int, dim: int) -> None:
    values = torch.stack([wild(n, 1), wild(n, 2)], dim=1 - dim)
    for found, row in zip(exact(total(values, dim=dim)), values.movedim(dim, -1).tolist(), strict=True):
        terms = [Fraction(value) for value in row]
        assert abs(found - sum(terms)) <= n * Fraction(2) ** -100 * sum(map(abs, terms))


def test_shares_have_twice_the_digits() -> None:
    masses = wild(33, 4).abs()
    whole = sum(map(Fraction, masses.tolist()))
    for found, mass in zip(exact(normalised(masses)), masses.tolist(), strict=True):
        assert abs(found - Fraction(mass) / whole) <= Fraction(2) ** -100 * Fraction(mass) / whole
