"""OT-GAN's minibatch energy distance: six terms, two halves a side."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, last, refused
from cases.random_problems import cloud, weights
from otgen import ot
from otgen.errors import InputError
from otgen.ot import KL, Cosine, Cost, Discrete, MinibatchEnergyDistance, NoReg, Regulariser, SqEuclidean, ValueKind

EXACTLY = {"tol": 1e-9, "max_steps": 20_000}


def batches(n: int = 8, m: int = 6, d: int = 3) -> tuple[Tensor, Tensor]:
    return cloud(n, d, 1), cloud(m, d, 2) + 0.5


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    half = len(x) // 2
    return x[:half], x[half:]


def six_terms(x: Tensor, y: Tensor, cost: Cost, reg: Regulariser, *, linear: bool = False) -> float:
    (x1, x2), (y1, y2) = halves(x), halves(y)

    def value(u: Tensor, v: Tensor) -> float:
        found = ot.solve(Discrete(u, v, cost=cost, reg=reg), **EXACTLY)
        return float(found.value_linear if linear else found.value)

    cross = value(x1, y1) + value(x1, y2) + value(x2, y1) + value(x2, y2)
    return cross - 2 * value(x1, x2) - 2 * value(y1, y2)


@pytest.mark.parametrize("reg", [KL(eps=1.0), ot.Quadratic(eps=1.0), NoReg()], ids=str)
@pytest.mark.parametrize("cost", [Cosine(), SqEuclidean()], ids=str)
@pytest.mark.parametrize("sizes", [(8, 8), (8, 6)])
def test_it_is_the_six_terms(reg: Regulariser, cost: Cost, sizes: tuple[int, int]) -> None:
    x, y = batches(*sizes)
    loss = MinibatchEnergyDistance(cost=cost, reg=reg, **EXACTLY)
    assert loss(x, y).item() == pytest.approx(six_terms(x, y, cost, reg), rel=1e-7, abs=1e-9)
    assert len(last(loss).solutions) == 6
    assert last(loss).lower.item() - 1e-12 <= last(loss).value.item() <= last(loss).upper.item() + 1e-12


def test_the_cost_is_the_cosine() -> None:
    assert MinibatchEnergyDistance().cost == Cosine()
    x, y = batches()
    loss = MinibatchEnergyDistance(reg=KL(eps=0.3), **EXACTLY)
    torch.testing.assert_close(loss(5 * x, y / 3), loss(x, y), rtol=1e-6, atol=1e-9)


def test_one_point_a_half_needs_no_solver() -> None:
    """Unique plans: every term is a cost, or the mean of two."""
    x, y = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[3.0], [5.0]]).double()
    # |0-3|^2 + |0-5|^2 + |1-3|^2 + |1-5|^2 - 2 |0-1|^2 - 2 |3-5|^2
    loss = MinibatchEnergyDistance(cost=SqEuclidean(), reg=KL(eps=0.7))
    assert loss(x, y).item() == pytest.approx(9 + 25 + 4 + 16 - 2 - 8, rel=1e-12)


def test_the_linear_value_is_the_plans_cost() -> None:
    x, y = batches()
    loss = MinibatchEnergyDistance(reg=KL(eps=0.3), value=ValueKind.LINEAR, **EXACTLY)
    assert loss(x, y).item() == pytest.approx(six_terms(x, y, Cosine(), KL(eps=0.3), linear=True), abs=1e-5)
    entropic = MinibatchEnergyDistance(reg=KL(eps=0.3), **EXACTLY)(x, y)
    assert abs(loss(x, y) - entropic) > 1e-3
    torch.testing.assert_close(last(loss).value, entropic, rtol=1e-9, atol=1e-12)


def test_all_values_have_the_gradient_of_the_constant_plan() -> None:
    losses = [MinibatchEnergyDistance(reg=KL(eps=0.3), value=value, **EXACTLY) for value in ValueKind]
    first, *rest = (differentiated(loss, *batches())[1:] for loss in losses)
    for others in rest:
        for one, other in zip(first, others, strict=True):
            assert one.abs().max() > 1e-3
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_independent_batches_of_one_law_have_mean_zero() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(400, 16, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    loss = MinibatchEnergyDistance(cost=SqEuclidean(), reg=KL(eps=1.0), tol=1e-2, max_steps=1000)
    same, apart = loss(x, y), loss(x, y + 1)
    assert abs(same.mean()) < 3 * same.std() / 20
    assert same.min() < 0 < same.max()
    assert apart.mean() > 10 * apart.std() / 20


def test_all_terms_share_one_eps() -> None:
    x, y = batches()
    loss = MinibatchEnergyDistance(reg=KL(eps=ot.Relative(0.1)), **EXACTLY)
    loss(x, y)
    assert {s.eps for s in last(loss).solutions} == {last(loss).eps}
    mean = Discrete(halves(x)[0], halves(y)[0], cost=Cosine()).mean_cost
    assert last(loss).eps == pytest.approx(0.1 * mean, rel=1e-9)


def test_each_half_has_its_own_mass() -> None:
    x, y = batches()
    a = weights(8, 3)
    loss = MinibatchEnergyDistance(reg=KL(eps=0.3), **EXACTLY)
    uneven = torch.cat([0.1 * a[:4] / a[:4].sum(), 0.9 * a[4:] / a[4:].sum()])
    torch.testing.assert_close(loss(x, y, uneven), loss(x, y, a), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "m", "name"), [(7, 6, "x has 7 points"), (6, 1, "y has 1 point;")])
def test_an_odd_number_of_points_is_refused(n: int, m: int, name: str) -> None:
    refused(f"{name}.*even number", MinibatchEnergyDistance(reg=KL(eps=1.0)), *batches(n, m))


def test_a_half_without_mass_is_refused() -> None:
    x, y = batches()
    a = torch.cat([torch.zeros(4), torch.ones(4) / 4]).double()
    refused("a half of x has no mass", MinibatchEnergyDistance(reg=KL(eps=1.0)), x, y, a)


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"value must be one of \['entropic', 'primal', 'linear'\], got 'sharp'"):
        MinibatchEnergyDistance(value="sharp")  # type: ignore[arg-type]
