"""Laws that every regulariser obeys, by convex duality."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cases.checks import refused
from cases.components import SMOOTH, Smooth, everywhere, name, public
from cases.random_problems import cloud, weights
from otgen.ot import NoReg, Regulariser, Relative, SmoothRegulariser

WEIGHTS = (1e-3, 0.3, 20.0)
WEIGHTED = [cls(eps=e) for cls in SMOOTH for e in WEIGHTS]
every_smooth = pytest.mark.parametrize("reg", WEIGHTED, ids=name)
every_regulariser = pytest.mark.parametrize("reg", [*WEIGHTED, NoReg()], ids=name)


def grid(reg: SmoothRegulariser) -> Tensor:
    """Values of s, in units of eps; none of them a kink."""
    return torch.linspace(-4.0, 4.0, 401, dtype=torch.float64)[:, None].squeeze(1).add(1e-3) * reg.weight


def test_every_concrete_regulariser_is_exported() -> None:
    assert everywhere(Regulariser) == set(public(Regulariser))  # type: ignore[type-abstract]


@every_smooth
@pytest.mark.parametrize(("derivative", "of"), [("density", "conjugate"), ("curvature", "density")])
def test_one_is_the_derivative_of_the_other(reg: SmoothRegulariser, derivative: str, of: str) -> None:
    s = grid(reg).requires_grad_()
    (slope,) = torch.autograd.grad(getattr(reg, of)(s).sum(), s)
    torch.testing.assert_close(slope, getattr(reg, derivative)(s.detach()), rtol=1e-12, atol=1e-14)


@every_smooth
def test_fenchel_young(reg: SmoothRegulariser) -> None:
    """``conjugate(s) + eps penalty(m) >= s m``, with equality where m is the density at s."""
    s, eps = grid(reg), reg.weight
    m = torch.linspace(0.0, 5.0, 200, dtype=torch.float64)
    assert (reg.conjugate(s)[:, None] + eps * reg.penalty(m) - s[:, None] * m).min().item() >= -1e-13 * eps
    density = reg.density(s)
    equality = reg.conjugate(s) + eps * reg.penalty(density) - s * density
    assert equality.abs().max().item() <= 1e-13 * eps * max(1.0, density.max().item() * 4)


@every_smooth
def test_conjugate_is_the_supremum(reg: SmoothRegulariser) -> None:
    """Moreau: the conjugate is ``sup_{m >= 0} s m - eps penalty(m)``, found here by a fine grid."""
    s, eps = grid(reg)[::40], reg.weight
    m = torch.linspace(0.0, 60.0, 600_001, dtype=torch.float64)
    supremum = torch.stack([(one * m - eps * reg.penalty(m)).max() for one in s])
    # Second-order flat at the maximum: a step of 1e-4 in m misses at most 1e-8 * the penalty's curvature.
    torch.testing.assert_close(reg.conjugate(s), supremum, rtol=1e-7, atol=1e-6 * eps)


@every_smooth
def test_penalty_is_convex_and_not_negative(reg: SmoothRegulariser) -> None:
    penalty = reg.penalty(torch.linspace(0.0, 10.0, 1001, dtype=torch.float64))
    assert bool(torch.isfinite(penalty).all())
    assert penalty.min().item() >= 0
    assert (penalty[2:] - 2 * penalty[1:-1] + penalty[:-2]).min().item() >= -1e-12


@every_smooth
def test_no_plan_where_the_weight_is_zero(reg: SmoothRegulariser) -> None:
    gone = torch.tensor([-torch.inf], dtype=torch.float64)
    assert reg.density(gone).item() == 0
    assert math.isfinite(reg.conjugate(gone).item())


@every_smooth
@pytest.mark.parametrize("dim", [-1, -2])
def test_soft_transform_satisfies_the_first_order_condition(reg: SmoothRegulariser, dim: int) -> None:
    """``sum_j w_j density(f_i + z_ij) = 1``: every row of the plan has exactly its mass."""
    z = 3 * cloud(6, 9, seed=1)
    w = weights(9, seed=2, zeros=3) if dim == -1 else weights(6, seed=2, zeros=3).unsqueeze(-1)
    f = reg.soft_transform(z, w, dim)
    assert f.shape == ((6,) if dim == -1 else (9,))
    # What a column of zero weight would get may overflow: it does not count.
    mass = torch.where(w > 0, w * reg.density(z + f.unsqueeze(dim)), 0.0).sum(dim)
    # f carries a rounding of eps_machine * |z|, and the density turns it into one relative to eps.
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-15 * (20 / reg.weight + 50))


@every_smooth
def test_soft_transform_maximises_the_dual(reg: SmoothRegulariser) -> None:
    z, w = cloud(6, 9, seed=3), weights(9, seed=4, zeros=2)
    f = reg.soft_transform(z, w, -1)

    def dual(f: Tensor) -> Tensor:
        return f - (w * reg.conjugate(f.unsqueeze(-1) + z)).sum(-1)

    for move in (1e-3, -1e-3, 0.5, -0.5):
        assert bool((dual(f) >= dual(f + move * reg.weight)).all())


@every_regulariser
def test_zero_weights_are_skipped(reg: Regulariser) -> None:
    z, w = cloud(6, 9, seed=5), weights(9, seed=6, zeros=4)
    kept = reg.soft_transform(z[:, w > 0], w[w > 0], -1)
    for some in (z, z.where(w > 0, 1e30), z.where(w > 0, -torch.inf)):
        torch.testing.assert_close(reg.soft_transform(some, w, -1), kept, rtol=1e-13, atol=1e-13)


@every_regulariser
def test_soft_transform_commutes_with_constants_and_order(reg: Regulariser) -> None:
    z, w = cloud(6, 9, seed=7), weights(9, seed=8, zeros=2)
    f = reg.soft_transform(z, w, -1)
    torch.testing.assert_close(reg.soft_transform(z + 2.5, w, -1), f - 2.5, rtol=1e-12, atol=1e-12)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(reg.soft_transform(z[:, order], w[order], -1), f, rtol=1e-12, atol=1e-12)


@every_regulariser
def test_soft_transform_of_a_batch(reg: Regulariser) -> None:
    z, w = torch.stack([cloud(6, 9, seed=s) for s in (1, 2)]), torch.stack([weights(9, s, zeros=2) for s in (3, 4)])
    batched = reg.soft_transform(z, w.unsqueeze(-2), -1)
    for k in range(2):
        torch.testing.assert_close(batched[k], reg.soft_transform(z[k], w[k], -1), rtol=1e-13, atol=1e-13)


@every_smooth
def test_soft_transform_is_differentiable(reg: SmoothRegulariser) -> None:
    """Its derivative is minus a probability: ``w_j curvature_ij / sum_j w_j curvature_ij``."""
    z, w = cloud(3, 5, seed=9).requires_grad_(), weights(5, seed=10, zeros=1)
    f = reg.soft_transform(z, w, -1)
    (gradient,) = torch.autograd.grad(f.sum(), z)
    share = w * reg.curvature((z + f.unsqueeze(-1)).detach())
    torch.testing.assert_close(gradient, -share / share.sum(-1, keepdim=True), rtol=1e-9, atol=1e-12)


@every_regulariser
def test_a_single_column(reg: Regulariser) -> None:
    f = reg.soft_transform(torch.tensor([[2.0]], dtype=torch.float64), torch.ones(1, dtype=torch.float64), -1)
    expected = -2.0 + (reg.weight if reg.__class__.__name__ == "Quadratic" else 0.0)  # type: ignore[attr-defined]
    torch.testing.assert_close(f, torch.tensor([expected], dtype=torch.float64), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("cls", SMOOTH)
@given(seed=st.integers(0, 10_000), eps=st.floats(-4, 4), spread=st.floats(-3, 3), columns=st.integers(1, 12))
def test_rows_are_exact_for_any_cost(cls: Smooth, seed: int, eps: float, spread: float, columns: int) -> None:
    reg = cls(eps=10.0**eps)
    z, w = 10.0**spread * cloud(4, columns, seed), weights(columns, seed, zeros=columns // 3)
    if seed % 2:  # with ties
        z = z.round()
    f = reg.soft_transform(z, w, -1)
    mass = torch.where(w > 0, w * reg.density(z + f.unsqueeze(-1)), 0.0).sum(-1)
    # f is off by a unit in the last place of the largest of z, f, eps.
    size = max(z.abs().max().item(), f.abs().max().item()) / reg.weight + 1
    assert (mass - 1).abs().max().item() <= 1e-15 * (2 * size + 40)


@pytest.mark.parametrize("eps", [0.0, -1.0, math.nan, math.inf])
def test_a_weight_that_is_no_weight_is_refused(eps: float) -> None:
    for cls in SMOOTH:
        refused(rf"{cls.__name__} needs a positive, finite eps, got eps={eps}.*NoReg", cls, eps=eps)
    refused(f"Relative needs a positive, finite factor, got {eps}", Relative, eps)


@pytest.mark.parametrize("cls", SMOOTH)
def test_relative_weights(cls: Smooth) -> None:
    reg = cls(eps=Relative(0.25))
    refused("relative", lambda: reg.weight)
    assert reg.resolved(8.0).weight == 2.0
    # All points coincide: any positive weight will do.
    assert reg.resolved(0.0).weight > 0
    assert cls(eps=3.0).resolved(8.0).weight == 3.0
    assert str(Relative(0.25)) == "0.25*mean"


@every_regulariser
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("zeros", [0, 2])
def test_soft_transform_is_the_same_without_a_graph(reg: Regulariser, dim: int, zeros: int) -> None:
    """A faster path for no-grad use must give the same, for weights of every shape that broadcasts."""
    z = 3 * torch.stack([cloud(6, 9, seed=s) for s in (1, 2)])
    w = weights(9, seed=3, zeros=zeros) if dim == -1 else weights(6, seed=3, zeros=zeros).unsqueeze(-1)
    expected = reg.soft_transform(z, w, dim)
    shapes = [(9,), (1, 9), (2, 1, 9)] if dim == -1 else [(6, 1), (2, 6, 1)]
    with torch.no_grad():
        for shaped in (w.expand(shape) for shape in (*shapes, z.shape)):
            torch.testing.assert_close(reg.soft_transform(z, shaped, dim), expected, rtol=1e-13, atol=1e-13)


# --- to the last digits, whatever the sizes


def exact_soft_transform(reg: SmoothRegulariser, z: Tensor, w: Tensor) -> float:
    """With 60 digits, for a vector z and weights w, which are divided by their sum."""
    with mpmath.workdps(60):
        eps, total = mpmath.mpf(reg.weight), mpmath.fsum(w.tolist())
        pairs = [(mpmath.mpf(v), mpmath.mpf(u) / total) for v, u in zip(z.tolist(), w.tolist(), strict=True) if u > 0]
        pairs.sort(reverse=True)
        top, f = pairs[0][0], mpmath.mpf(0)
        if reg.conjugate_vanishes:
            return float(-top - eps * mpmath.log(mpmath.fsum(u * mpmath.exp((v - top) / eps) for v, u in pairs)))
        mass, lifted = mpmath.mpf(0), eps
        for k, (v, u) in enumerate(pairs):
            mass, lifted = mass + u, lifted - u * v
            f = lifted / mass
            if k + 1 == len(pairs) or f + pairs[k + 1][0] <= 0:
                break
        return float(f)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cls", SMOOTH)
@given(
    seed=st.integers(0, 10_000),
    eps=st.integers(-9, 9),
    spread=st.sampled_from([0, 6, 12, 24]),
    least=st.sampled_from([0, -10, -30]),
    columns=st.integers(1, 9),
)
def test_soft_transform_to_rounding(
    cls: Smooth, dtype: torch.dtype, graph: bool, seed: int, eps: int, spread: int, least: int, columns: int
) -> None:
    """Weights down to 1e-30, entries up to 1e24 apart, eps from 1e-9 to 1e9 of them."""
    reg, of = cls(eps=10.0**eps), torch.Generator().manual_seed(seed)
    z = cloud(3, columns, seed) * 10.0 ** (spread * torch.rand(3, columns, generator=of, dtype=torch.float64))
    w = 10.0 ** (least * torch.rand(columns, generator=of, dtype=torch.float64))
    w[: columns // 3] = 0.0
    z, w = z.to(dtype), (w / w.sum()).to(dtype)
    with torch.set_grad_enabled(graph):
        found = reg.soft_transform(z, w[None], -1)
    for row, f in zip(z, found.tolist(), strict=True):
        exact = exact_soft_transform(reg, row, w)
        size = abs(exact) + abs(row[w > 0].max().item()) + reg.weight
        assert abs(f - exact) <= 32 * torch.finfo(dtype).eps * size


@every_smooth
def test_the_gradient_is_a_probability_where_the_excess_is_below_rounding(reg: SmoothRegulariser) -> None:
    # The largest entry lies 1e20 eps from zero: z + f rounds to nothing there.
    z = (-torch.tensor([[2.0, 3.0, 7.0]], dtype=torch.float64) * 1e20 * reg.weight).requires_grad_()
    f = reg.soft_transform(z, torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64), -1)
    (gradient,) = torch.autograd.grad(f.sum(), z)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.0, 0.0]], dtype=torch.float64))
