"""Costs and their gradients in decimal numbers, by definition."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeAlias

from torch import Tensor

from otgen.ot import L1, Cosine, Cost, LpPower, PNorm, SqEuclidean

Vector: TypeAlias = list[Decimal]
Rows: TypeAlias = list[list[Decimal]]


@contextmanager
def digits(count: int) -> Iterator[None]:
    """That many digits, exponents without limit."""
    context = decimal.Context(prec=count, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    context.traps[decimal.Inexact] = context.traps[decimal.Rounded] = False
    with decimal.localcontext(context):
        yield


def numbers(values: Tensor) -> Vector:
    """The exact values of floating-point numbers."""
    return [Decimal(one) for one in values.detach().double().tolist()]


def cost_matrix(cost: Cost | None, x: Tensor, y: Tensor) -> Rows:
    """``c(x_i, y_j)``, in the context's digits."""
    pair = _pair(SqEuclidean() if cost is None else cost)
    left, right = ([numbers(point) for point in cloud] for cloud in (x, y))
    return [[pair(one, other) for other in right] for one in left]


def _pair(cost: Cost) -> Callable[[Vector, Vector], Decimal]:
    if isinstance(cost, SqEuclidean):
        return lambda x, y: sum(((p - q) ** 2 for p, q in zip(x, y, strict=True)), Decimal(0))
    if isinstance(cost, L1):
        return lambda x, y: sum((abs(p - q) for p, q in zip(x, y, strict=True)), Decimal(0))
    if isinstance(cost, PNorm):
        half = Decimal(cost.p) / 2
        return lambda x, y: _power(sum(((p - q) ** 2 for p, q in zip(x, y, strict=True)), Decimal(0)), half)
    if isinstance(cost, LpPower):
        power = Decimal(cost.p)
        return lambda x, y: sum((_power(abs(p - q), power) for p, q in zip(x, y, strict=True)), Decimal(0))
    if isinstance(cost, Cosine):
        return _cosine
    raise AssertionError(f"{cost} has no exact form here: add it")


def _power(value: Decimal, exponent: Decimal) -> Decimal:
    """Of a number that is not negative, for multiples of a half without a logarithm."""
    if exponent % 1 == Decimal("0.5"):
        return value ** int(exponent) * value.sqrt() if value else Decimal(0)
    return value**exponent if value else Decimal(0)


def _cosine(x: Vector, y: Vector) -> Decimal:
    with digits(400):
        # So many digits hold all products of floats of any ordinary size: parallel vectors cost nothing at all.
        parts = [sum((p * q for p, q in zip(u, v, strict=True)), Decimal(0)) for u, v in ((x, y), (x, x), (y, y))]
        product, squares = parts[0], parts[1] * parts[2]
        parallel = product * product == squares
    if not squares:
        return Decimal(1)
    cosine = Decimal(1).copy_sign(product) if parallel else product / squares.sqrt()
    return 1 - cosine


def gradient(cost: Cost | None, x: Tensor, y: Tensor, plan: Rows) -> Rows | None:
    """``sum_j plan_ij d c(x_i, y_j) / d x_i``, zero where the cost has a kink; None if not known here."""
    cost = SqEuclidean() if cost is None else cost
    left, right = ([numbers(point) for point in cloud] for cloud in (x, y))

    def of(one: Vector, other: Vector) -> Vector:
        away = [p - q for p, q in zip(one, other, strict=True)]
        if isinstance(cost, L1):
            return [Decimal((p > 0) - (p < 0)) for p in away]
        if isinstance(cost, SqEuclidean):
            return [2 * p for p in away]
        assert isinstance(cost, PNorm)
        squared = sum((p * p for p in away), Decimal(0))
        factor = Decimal(cost.p) * _power(squared, Decimal(cost.p) / 2 - 1) if squared else Decimal(0)
        return [factor * p for p in away]

    if not isinstance(cost, (L1, SqEuclidean, PNorm)):
        return None
    found = []
    for one, masses in zip(left, plan, strict=True):
        parts = [[mass * p for p in of(one, other)] for other, mass in zip(right, masses, strict=True)]
        found.append([sum(column, Decimal(0)) for column in zip(*parts, strict=True)])
    return found
