"""The conversions on the page on notation hold, number by number, against the peers that are installed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from otgen import ot as transport
from otgen.ot import KL, Discrete, PNorm, Quadratic, SinkhornDivergence, Solution, SqEuclidean, solve

EPS = 0.5
SQ = SqEuclidean()
RNG = torch.Generator().manual_seed(0)
X = torch.randn(30, 2, generator=RNG, dtype=torch.float64)
Y = torch.randn(20, 2, generator=RNG, dtype=torch.float64) + 0.5
A = torch.rand(30, generator=RNG, dtype=torch.float64) + 0.2
A /= A.sum()
B = torch.rand(20, generator=RNG, dtype=torch.float64) + 0.2
B /= B.sum()
# What a plan relative to counting measure costs more than one relative to a x b.
COUNTING = EPS * float((A * A.log()).sum() + (B * B.log()).sum())


def solution(**options: Any) -> Solution:
    # By the marginals: plan and potentials are compared, which a gap of second order is too coarse for.
    until = transport.MarginalError(1e-13)
    return solve(Discrete(X, Y, A, B, reg=KL(eps=EPS)), until=until, on_unconverged="raise", **options)


def pair_sums(f: Any, g: Any) -> np.ndarray[Any, Any]:
    return np.asarray(f)[:, None] + np.asarray(g)[None, :]


def loss(kind: Callable[..., Any], **options: Any) -> float:
    return float(kind(tol=1e-9, max_steps=50_000, **options)(X, Y, A, B))


@pytest.fixture(scope="module")
def pot() -> Any:
    for backend in ("JAX", "TENSORFLOW", "CUPY"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    import ot

    return ot


def peer(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[peers]'")


def test_pot_kl(pot: Any) -> None:
    ours, costs = solution(), SQ(X, Y).numpy()
    theirs = pot.solve(costs, A.numpy(), B.numpy(), reg=EPS, reg_type="KL", tol=1e-12, max_iter=20_000)
    assert theirs.value == pytest.approx(ours.value.item(), rel=1e-9)
    assert theirs.value_linear == pytest.approx(ours.value_linear.item(), rel=1e-8)
    u, v = theirs.potentials
    sums = EPS * (pair_sums(u, v) - pair_sums(A.log(), B.log()))
    np.testing.assert_allclose(sums, pair_sums(ours.potentials.f, ours.potentials.g), atol=1e-8)
    linear = pot.sinkhorn2(A.numpy(), B.numpy(), costs, EPS, stopThr=1e-12, numItermax=20_000)
    assert float(linear) == pytest.approx(ours.value_linear.item(), rel=1e-8)


def test_pot_entropy_is_relative_to_counting(pot: Any) -> None:
    ours = solution()
    theirs = pot.solve(SQ(X, Y).numpy(), A.numpy(), B.numpy(), reg=EPS, reg_type="entropy", tol=1e-12, max_iter=20_000)
    assert theirs.value == pytest.approx(ours.value.item() + COUNTING, rel=1e-9)
    np.testing.assert_allclose(theirs.plan, ours.plan().numpy(), atol=1e-10)


def test_pot_exact(pot: Any) -> None:
    ours = solve(Discrete(X, Y, A, B, reg=transport.NoReg())).value.item()
    assert pot.emd2(A.numpy(), B.numpy(), SQ(X, Y).numpy()) == pytest.approx(ours, rel=1e-12)
    assert pot.solve(SQ(X, Y).numpy(), A.numpy(), B.numpy()).value == pytest.approx(ours, rel=1e-12)


def test_pot_l2_is_not_weighted(pot: Any) -> None:
    strength = 3.0
    ours = solve(Discrete(X, Y, reg=Quadratic(eps=strength / (30 * 20))), tol=1e-10, max_steps=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT's optimiser stops at its own tolerance
        theirs = pot.solve(SQ(X, Y).numpy(), reg=strength, reg_type="L2", tol=1e-14, max_iter=20_000)
    np.testing.assert_allclose(theirs.plan, ours.plan().numpy(), atol=1e-6)
    squares = float((theirs.plan**2).sum())
    assert theirs.value == pytest.approx(theirs.value_linear + strength * squares, rel=1e-9)
    assert ours.value.item() == pytest.approx(theirs.value_linear + strength / 2 * squares, rel=1e-5)


def test_pot_stochastic_quadratic_dual(pot: Any) -> None:
    """Theirs subtracts relu(s)^2 / (4 reg), ours relu(s)^2 / (2 eps)."""
    reg = 0.3
    ours = solve(Discrete(X, Y, A, B, reg=Quadratic(eps=2 * reg)), tol=1e-12, max_steps=1000)
    x, y, a, b = (tensor.numpy() for tensor in (X, Y, A, B))
    f, g = ours.potentials.f.numpy(), ours.potentials.g.numpy()
    theirs = pot.stochastic.loss_dual_quadratic(f, g, x, y, reg=reg, ws=a, wt=b)
    assert float(theirs) == pytest.approx(ours.value.item(), rel=1e-12)
    plan = pot.stochastic.plan_dual_quadratic(f, g, x, y, reg=reg, ws=a, wt=b)
    np.testing.assert_allclose(plan, ours.plan().numpy(), atol=1e-12)
    # A dual value: no other potentials have a larger one.
    moved = pot.stochastic.loss_dual_quadratic(f + 0.01 * np.cos(np.arange(30)), g, x, y, reg=reg, ws=a, wt=b)
    assert moved < theirs
    uniform = solve(Discrete(X, Y, reg=Quadratic(eps=2 * reg)), tol=1e-12, max_steps=1000)
    f, g = uniform.potentials.f.numpy(), uniform.potentials.g.numpy()
    theirs = pot.stochastic.loss_dual_quadratic(f, g, x, y, reg=reg)
    assert float(theirs) == pytest.approx(uniform.value.item(), rel=1e-12)


def test_pot_divergence_is_of_linear_values(pot: Any) -> None:
    x, y, a, b = (tensor.numpy() for tensor in (X, Y, A, B))
    theirs = pot.bregman.empirical_sinkhorn_divergence(x, y, EPS, a=a, b=b, stopThr=1e-12, numIterMax=20_000)
    ours = SinkhornDivergence(reg=KL(eps=EPS), tol=1e-9, max_steps=50_000)
    ours(X, Y, A, B)
    linear = sum(w * float(s.value_linear) for w, s in zip(ours.last.weights, ours.last.solutions, strict=True))
    assert float(theirs) == pytest.approx(linear, rel=1e-6)
    assert float(theirs) != pytest.approx(float(ours.last.value), rel=1e-2)


METRICS = {"sqeuclidean": SQ, "euclidean": PNorm(p=1), "cityblock": transport.L1(), "cosine": transport.Cosine()}


@pytest.mark.parametrize(("metric", "cost"), METRICS.items())
def test_pot_metrics(pot: Any, metric: str, cost: Any) -> None:
    np.testing.assert_allclose(pot.dist(X.numpy(), Y.numpy(), metric=metric), cost(X, Y).numpy(), atol=1e-12)


either_loss = pytest.mark.parametrize(("kind", "debias"), [(transport.OTLoss, False), (SinkhornDivergence, True)])


@pytest.mark.filterwarnings("ignore")
@either_loss
def test_geomloss(kind: Any, debias: bool) -> None:
    geomloss, blur = peer("geomloss"), 0.5
    options = {"blur": blur, "debias": debias, "scaling": 0.99, "backend": "tensorized"}
    for p, ours in ((2, {"reg": KL(eps=2 * blur**2)}), (1, {"cost": PNorm(p=1), "reg": KL(eps=blur)})):
        theirs = geomloss.SamplesLoss("sinkhorn", p=p, **options)(A, X, B, Y).item()
        assert theirs == pytest.approx(loss(kind, **ours) / p, rel=1e-3)


@pytest.mark.filterwarnings("ignore")
@either_loss
def test_geomloss_ot(kind: Any, debias: bool) -> None:
    geomloss, ours = peer("geomloss.ot"), loss(kind, reg=KL(eps=EPS))
    for strength in ({"reg": EPS}, {"blur": (EPS / 2) ** 0.5}):
        theirs = geomloss.solve_sample(X, Y, a=A, b=B, max_iter=2000, debias=debias, **strength).value
        assert float(theirs) == pytest.approx(ours, rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ott() -> None:
    jax, _ = peer("jax"), peer("ott")
    from ott.geometry import costs, pointcloud
    from ott.solvers import linear
    from ott.tools import sinkhorn_divergence

    ours = solution()
    with jax.enable_x64(True):
        x, y, a, b = (jax.numpy.asarray(t.numpy()) for t in (X, Y, A, B))
        options = {"threshold": 1e-12, "max_iterations": 20_000}
        theirs = linear.solve(pointcloud.PointCloud(x, y, epsilon=EPS), a, b, **options)
        for value in (theirs.reg_ot_cost, theirs.kl_reg_cost, float(theirs.ent_reg_cost) - COUNTING):
            assert float(value) == pytest.approx(ours.value.item(), rel=1e-9)
        assert float(theirs.primal_cost) == pytest.approx(ours.value_linear.item(), rel=1e-8)
        sums = pair_sums(theirs.f, theirs.g) - EPS * pair_sums(A.log(), B.log())
        np.testing.assert_allclose(sums, pair_sums(ours.potentials.f, ours.potentials.g), atol=1e-8)
        settings = {"a": a, "b": b, "epsilon": EPS, "solve_kwargs": options}
        divergence, _ = sinkhorn_divergence.sinkhorn_divergence(pointcloud.PointCloud, x, y, **settings)
        assert float(divergence) == pytest.approx(loss(SinkhornDivergence, reg=KL(eps=EPS)), rel=1e-7)
        relative = pointcloud.PointCloud(x, y, epsilon=0.05, relative_epsilon="mean").epsilon
        assert float(relative) == pytest.approx(0.05 * Discrete(X, Y).mean_cost, rel=1e-9)
        assert float(pointcloud.PointCloud(x, y).epsilon) == pytest.approx(0.05 * float(SQ(X, Y).std(correction=0)))
        pairs = [(costs.SqEuclidean(), SQ), (costs.Cosine(), transport.Cosine())]
        pairs += [(costs.Euclidean(), PNorm(p=1)), (costs.EuclideanP(p=1.5), PNorm(p=1.5))]
        for their_cost, our_cost in pairs:
            matrix = np.asarray(pointcloud.PointCloud(x, y, cost_fn=their_cost).cost_matrix)
            np.testing.assert_allclose(matrix, our_cost(X, Y).numpy(), atol=1e-6)


def test_semi_dual_of_a_vector() -> None:
    """Houdard et al. 2021, (15): the dual value at any psi and its soft transform."""
    from otgen.ot.discrete.envelope import dual_value
    from otgen.ot.discrete.potentials import Potentials

    psi = torch.randn(20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    transform = -EPS * torch.logsumexp((psi - SQ(X, Y)) / EPS + B.log(), dim=1)
    semi_dual: Tensor = (A * transform).sum() + (B * psi).sum()
    problem = Discrete(X, Y, A, B, reg=KL(eps=EPS))
    f = problem.reg.soft_transform(psi - problem.matrix, B, dim=-1)
    torch.testing.assert_close(dual_value(problem, Potentials(f, psi)), semi_dual)
    assert semi_dual <= solution().value


def test_pot_unbalanced(pot: Any) -> None:
    rho = (0.7, 2.0)
    ours = solve(transport.Unbalanced(X, Y, 2 * A, B, rho=rho, reg=KL(eps=EPS)), tol=1e-12, on_unconverged="ignore")
    costs = SQ(X, Y).numpy()
    # By translation-invariant steps, whose stop is right for penalties that differ.
    plan = pot.unbalanced.sinkhorn_unbalanced(
        2 * A.numpy(), B.numpy(), costs, EPS, rho, reg_type="kl", stopThr=1e-14, numItermax=100_000
    )
    np.testing.assert_allclose(plan, ours.plan().numpy(), atol=1e-8)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("p", [1, 2])
def test_geomloss_reach(p: int, debias: bool) -> None:
    geomloss, blur, reach = peer("geomloss"), 0.3, 0.8
    options: dict[str, Any] = {"p": p, "blur": blur, "reach": reach, "debias": debias}
    x, masses = X.clone().requires_grad_(), (2 * A, Y, B)
    values = []
    for kind, more in ((geomloss, {"scaling": 0.999, "backend": "tensorized"}), (transport, {"tol": 1e-8})):
        value = kind.SamplesLoss("sinkhorn", **options, **more)(masses[0], x, masses[2], masses[1])
        values.append((value.item(), torch.autograd.grad(value, x)[0]))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-3)
    factor, eps, rho = 1 / p, p * blur**p, p * reach**p
    theirs = (rho + eps / 2) / (rho + eps)
    torch.testing.assert_close(values[0][1], theirs * values[1][1], rtol=0.02, atol=2e-3)
    cost = PNorm(p=1) if p == 1 else SQ
    kind = transport.UnbalancedDivergence if debias else transport.UnbalancedLoss
    whole = factor * kind(rho=rho, cost=cost, reg=KL(eps=eps), tol=1e-8)(X, Y, 2 * A, B).item()
    constant = 0.0 if debias else factor * eps * (1.5 - 2.0)
    assert values[1][0] == pytest.approx(whole + constant, rel=1e-7)
