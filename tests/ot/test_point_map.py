"""Maps of new points: they extend the plan, and are what theory says they are."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from cases.checks import refused
from cases.random_problems import cloud
from cases.solves import batch, every_regulariser, problem
from otgen.ot import (
    KL,
    Cosine,
    Discrete,
    LpPower,
    MapKind,
    NoReg,
    PNorm,
    Quadratic,
    Regulariser,
    Solution,
    SqEuclidean,
    solve,
)
from otgen.ot.discrete import point_map

every_kind = pytest.mark.parametrize("kind", list(MapKind))
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def solution(reg: Regulariser, dtype: torch.dtype = torch.float64, tol: float = 1e-9) -> Solution:
    return solve(problem(reg, dtype), tol=tol, max_steps=20_000, on_unconverged="ignore")


def clouds(found: Solution) -> tuple[Tensor, Tensor]:
    x, y = found.problem.geometry.inputs()
    return x, y


def potential_gradient(found: Solution, points: Tensor, reg: Regulariser) -> Tensor:
    """The gradient of the soft transform of g at points, by autograd."""
    (_, y), b = clouds(found), found.problem.b
    new = points.clone().requires_grad_()
    z = found.potentials.g - SqEuclidean()(new, y)
    return torch.autograd.grad(reg.soft_transform(z, b, dim=-1).sum(), new)[0]


@every_regulariser
@both_dtypes
def test_at_its_own_points_it_is_the_plans(reg: Regulariser, dtype: torch.dtype) -> None:
    found = solution(reg, dtype)
    (x, y), plan = clouds(found), found.plan()
    a, b = found.problem.a, found.problem.b
    room = 2e-5 if dtype == torch.float32 else 1e-12
    got = found.transport(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got[a > 0], (plan @ y)[a > 0] / a[a > 0, None], rtol=room, atol=room)
    back = found.transport_back(y)
    # The columns of a KL plan are softmaxes of f at any iterate; those of others are right at the optimum.
    room = 1e-3 if isinstance(reg, Quadratic) else room
    received = plan.sum(0)[b > 0, None]
    torch.testing.assert_close(back[b > 0], (plan.mT @ x)[b > 0] / received, rtol=room, atol=room)


def test_points_without_mass_are_sent_somewhere_and_get_nothing() -> None:
    found = solution(KL(eps=0.1))
    (x, y), empty = clouds(found), found.problem.a == 0
    assert bool(empty.any())
    low, high = y.amin(0), y.amax(0)
    images = found.transport(x[empty])
    assert bool(((low <= images) & (images <= high)).all())
    twin = Discrete(x[~empty], y, found.problem.a[~empty], found.problem.b, reg=KL(eps=0.1))
    want = solve(twin, tol=1e-9, max_steps=20_000).transport_back(y)
    torch.testing.assert_close(found.transport_back(y), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reg", [KL(eps=0.3), Quadratic(eps=0.3)], ids=["KL", "Quadratic"])
@pytest.mark.parametrize("cost", [SqEuclidean(), PNorm(p=2), LpPower(p=2)], ids=repr)
def test_the_gradient_kind_is_half_the_potentials_gradient(
    reg: Regulariser, cost: SqEuclidean | PNorm | LpPower
) -> None:
    given = problem(reg)
    found = solve(Discrete(*given.geometry.inputs(), given.a, given.b, cost=cost, reg=reg), tol=1e-9, max_steps=20_000)
    new = 2 * cloud(50, 2, seed=9)
    want = new - potential_gradient(found, new, reg) / 2
    torch.testing.assert_close(found.transport(new, MapKind.GRADIENT), want, rtol=1e-10, atol=1e-10)


def test_for_kl_both_kinds_are_one_map() -> None:
    found, new = solution(KL(eps=0.1)), 3 * cloud(40, 2, seed=9)
    same = found.transport(new, MapKind.GRADIENT)
    torch.testing.assert_close(found.transport(new), same, rtol=1e-12, atol=1e-12)
    other = solution(Quadratic(eps=0.1))
    assert not torch.allclose(other.transport(new), other.transport(new, MapKind.GRADIENT), atol=1e-3)


def test_without_a_regulariser_a_new_point_goes_to_its_cheapest_target() -> None:
    found, new = solution(NoReg()), 2 * cloud(60, 2, seed=9)
    _, y = clouds(found)
    best = (SqEuclidean()(new, y) - found.potentials.g).masked_fill(found.problem.b == 0, math.inf).argmin(1)
    assert torch.equal(found.transport(new), y[best])
    # A point near one of the problem's has no share of that one's mass to split.
    near = clouds(found)[0] + 1e-6
    assert torch.cdist(found.transport(near), y).amin(1).max() < 1e-12


def test_ties_are_shared_by_weight() -> None:
    y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    b = torch.tensor([0.25, 0.75], dtype=torch.float64)
    found = solve(Discrete(y, y, b, b, reg=NoReg()))
    g = found.potentials.g
    # Where c(x, -1) - g_1 = c(x, 1) - g_2.
    middle = ((g[0] - g[1]) / 4).reshape(1, 1)
    for kind in MapKind:
        assert found.transport(middle, kind).item() == pytest.approx(0.5)


@every_kind
@every_regulariser
def test_it_follows_a_translation(kind: MapKind, reg: Regulariser) -> None:
    """Of y by v: the images move by v (the costs change by what potentials take up), and back they stay."""
    reg = reg if isinstance(reg, NoReg) else type(reg)(eps=0.4)  # type: ignore[call-arg]
    x, y, v = cloud(8, 3, seed=1), cloud(6, 3, seed=2), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    here, there = (
        solve(Discrete(x, z, reg=reg), tol=1e-12, max_steps=20_000, on_unconverged="ignore") for z in (y, y + v)
    )
    new = torch.cat([cloud(30, 3, seed=9), x])
    room = 1e-4 if isinstance(reg, Quadratic) else 1e-5
    torch.testing.assert_close(there.transport(new, kind), here.transport(new, kind) + v, rtol=room, atol=room)
    back = here.transport_back(new, kind)
    torch.testing.assert_close(there.transport_back(new + v, kind), back, rtol=room, atol=room)


def test_between_gaussians_it_is_affine() -> None:
    """N(0, S) to N(m, T) under KL, cost |x - y|^2: the closed form of Janati et al. 2020, eps = 2 sigma^2."""
    eps, n = 0.5, 1500
    s, t = torch.tensor([1.0, 0.5], dtype=torch.float64), torch.tensor([0.3, 1.5], dtype=torch.float64)
    m = torch.tensor([1.0, -1.0], dtype=torch.float64)
    x, y = cloud(n, 2, seed=1) * s.sqrt(), m + cloud(n, 2, seed=2) * t.sqrt()
    # Diagonal covariances: the plan of N(0, s), N(m, t) has the covariance c with c (c + eps / 2) = s t.
    c = -eps / 4 + (eps**2 / 16 + s * t).sqrt()
    new = cloud(200, 2, seed=3) * s.sqrt()
    found = solve(Discrete(x, y, reg=KL(eps=eps)), tol=1e-6)
    error = (found.transport(new) - (m + new * c / s)).norm(dim=1)
    assert error.median() < 0.08
    back = (found.transport_back(new + m) - (new * c / t)).norm(dim=1)
    assert back.median() < 0.16
    # Nobody moves is no affine map: the test can tell.
    assert (found.transport(new) - m - new).norm(dim=1).median() > 0.2


@every_regulariser
@every_kind
def test_shapes(reg: Regulariser, kind: MapKind) -> None:
    one, many = solve(batch(reg=reg)[1]), solve(batch(reg=reg))
    new = torch.stack([cloud(7, 2, seed=70 + k) for k in range(3)])
    for method in ("transport", "transport_back"):
        single = getattr(one, method)
        torch.testing.assert_close(single(new, kind)[2], single(new[2], kind))
        images = getattr(many, method)(new, kind)
        assert images.shape == new.shape
        for k in range(3):
            torch.testing.assert_close(images[k], getattr(many[k], method)(new[k], kind), rtol=1e-12, atol=1e-12)
            shared = getattr(many, method)(new[0], kind)
            torch.testing.assert_close(shared[k], getattr(many[k], method)(new[0], kind), rtol=1e-12, atol=1e-12)


@every_regulariser
def test_blocks_change_nothing(reg: Regulariser, monkeypatch: pytest.MonkeyPatch) -> None:
    found = solution(reg)
    new = torch.cat([cloud(20, 2, seed=9), clouds(found)[0]])
    whole = found.transport(new)
    monkeypatch.setattr(point_map, "_BLOCK_ENTRIES", 7)
    torch.testing.assert_close(found.transport(new), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e8])
@every_regulariser
def test_it_scales_with_the_points(reg: Regulariser, scale: float) -> None:
    x, y, new = cloud(7, 2, seed=1), cloud(5, 2, seed=2), cloud(9, 2, seed=3)
    base, scaled = (solve(Discrete(s * x, s * y, reg=reg), tol=1e-9, max_steps=9999) for s in (1.0, scale))
    for kind in MapKind:
        got = scaled.transport(scale * new, kind) / scale
        torch.testing.assert_close(got, base.transport(new, kind), rtol=1e-4, atol=1e-4)


def test_far_points_stay_finite() -> None:
    for reg, kind in itertools.product((KL(eps=0.05), Quadratic(eps=0.05), NoReg()), MapKind):
        found = solution(reg)
        far = torch.tensor([[1e6, -1e6], [-1e8, 0.0]], dtype=torch.float64)
        assert bool(torch.isfinite(found.transport(far, kind)).all())


def test_half_precision_is_lifted_and_no_graph_is_kept() -> None:
    x = cloud(7, 2, seed=1).requires_grad_()
    found = solve(Discrete(x, cloud(5, 2, seed=2)))
    images = found.transport(cloud(4, 2, seed=3).half())
    assert images.dtype == torch.float32
    assert not found.transport(x).requires_grad


def test_what_is_refused() -> None:
    found = solution(KL(eps=0.5))
    given = solve(Discrete.from_matrix(torch.rand(4, 3, generator=torch.Generator().manual_seed(0))))
    for method in ("transport", "transport_back"):
        refused("cost matrix.*pass points", getattr(given, method), torch.zeros(2, 2))
        refused(r"shape \(2, 3\).*2 coordinates.*\(k, 2\)", getattr(found, method), torch.zeros(2, 3))
        refused(r"\(3, k, 2\)", getattr(solve(batch()), method), torch.zeros(2, 4, 2))
        refused("NaN", getattr(found, method), torch.full((2, 2), math.nan))
        refused("one of", getattr(found, method), torch.zeros(2, 2), "nearest")
    cosine = solve(Discrete(cloud(4, 2, seed=1), cloud(5, 2, seed=2), cost=Cosine()))
    refused("squared Euclidean.*BARYCENTRIC", cosine.transport, cloud(3, 2, seed=3), MapKind.GRADIENT)
    assert cosine.transport(cloud(3, 2, seed=3)).shape == (3, 2)
