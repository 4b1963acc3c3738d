"""GeomLoss's interface: its calls, its conventions, its values where it has converged."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import differentiated, last, refusals, refused
from cases.random_problems import cloud, weights
from otgen.errors import ConvergenceWarning, InputError
from otgen.ot import KL, L1, PNorm, SamplesLoss, Sinkhorn, SinkhornDivergence, SinkhornUpdate, SqEuclidean

every_p = pytest.mark.parametrize("p", [1, 2])
either = pytest.mark.parametrize("debias", [True, False])
X, Y = cloud(12, 2, 1), cloud(9, 2, 2) + 0.5
A, B = weights(12, 3), weights(9, 4)


def points(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@every_p
@either
@pytest.mark.parametrize("blur", [0.05, 1.0])
def test_one_point_against_one(p: int, debias: bool, blur: float) -> None:
    value = SamplesLoss(p=p, blur=blur, debias=debias)(points((0, 0)), points((3, 4)))
    assert value.item() == pytest.approx(5.0**p / p, rel=1e-12)


@every_p
@pytest.mark.parametrize("blur", [0.3, 1.0, 2.0])
def test_the_middle_of_two_points(p: int, blur: float) -> None:
    """The plans are unique or symmetric: OT(x, y) = 1/p, OT(y, y) = -eps log((1 + exp(-2^p / (p eps))) / 2)."""
    eps = blur**p
    own = -eps * math.log((1 + math.exp(-(2.0**p) / (p * eps))) / 2)
    x, y = points((0,)), points((-1,), (1,))
    raw = SamplesLoss(p=p, blur=blur, debias=False)
    assert raw(x, y).item() == pytest.approx(1 / p, rel=1e-12)
    assert raw(y, y).item() == pytest.approx(own, rel=1e-9)
    assert SamplesLoss(p=p, blur=blur)(x, y).item() == pytest.approx(1 / p - own / 2, rel=1e-9)


def test_the_energy_distance_of_two_points() -> None:
    x, y = points((0,)), points((-1,), (1,))
    # 1 - 0 / 2 - (2 * 1/2) / 2
    assert SamplesLoss("energy")(x, y).item() == pytest.approx(0.5, rel=1e-12)
    f, g = SamplesLoss("energy", potentials=True)(x, y)
    torch.testing.assert_close(f, points((1.0,)))
    torch.testing.assert_close(g, points((0.0, 0.0)))


@every_p
def test_it_is_the_divergence_in_other_units(p: int) -> None:
    ours = SinkhornDivergence(cost=PNorm(p=p), reg=KL(eps=p * 0.5**p), tol=1e-9, max_steps=20_000)(X, Y, A, B) / p
    loss = SamplesLoss("sinkhorn", p, 0.5, tol=1e-9, max_steps=20_000)
    value = loss(A, X, B, Y)
    torch.testing.assert_close(value, ours, rtol=1e-8, atol=0)
    assert last(loss).lower - 1e-12 <= value <= last(loss).upper + 1e-12
    assert last(loss).eps == pytest.approx(p * 0.5**p)


def test_a_higher_scaling_is_a_smaller_tolerance() -> None:
    for scaling in (0.5, 0.9, 0.99):
        loss = SamplesLoss(blur=0.5, scaling=scaling)
        loss(X, Y)
        assert last(loss).converged
        assert float(last(loss).rel_gap) <= (1 - scaling) ** 2 / 5


@either
def test_every_form_of_the_call(debias: bool) -> None:
    # To many digits, since problems of a batch take other steps than one by itself.
    loss = SamplesLoss(blur=0.5, debias=debias, tol=1e-10, max_steps=5000)
    uniform = torch.full((12,), 1 / 12).double(), torch.full((9,), 1 / 9).double()
    value = loss(X, Y)
    assert value.shape == ()
    torch.testing.assert_close(loss(uniform[0], X, uniform[1], Y), value, rtol=1e-6, atol=0)
    weighted = loss(A, X, B, Y)
    torch.testing.assert_close(loss(A[:, None], X, B[:, None], Y), weighted)
    both = loss(torch.stack([A, A]), torch.stack([X, X + 1]), torch.stack([B, B]), torch.stack([Y, Y + 1]))
    assert both.shape == (2,)
    torch.testing.assert_close(both, weighted.expand(2), rtol=1e-6, atol=0)
    column = loss(A[None, :, None], X[None], B[None, :, None], Y[None])
    torch.testing.assert_close(column, weighted[None], rtol=1e-9, atol=0)


@either
def test_a_function_as_the_cost(debias: bool) -> None:
    def half(x: Tensor, y: Tensor) -> Tensor:
        assert x.ndim == y.ndim == 3
        return (x[:, :, None] - y[:, None]).square().sum(-1) / 2

    results = []
    for cost in (None, half):
        loss = SamplesLoss(blur=0.7, cost=cost, debias=debias, tol=1e-9, max_steps=5000)
        results.append(differentiated(lambda x, loss=loss: loss(A, x, B, Y), X))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_a_cost_of_this_package() -> None:
    ours = SinkhornDivergence(cost=L1(), reg=KL(eps=0.6), tol=1e-9, max_steps=5000)(X, Y)
    theirs = SamplesLoss(p=1, blur=0.6, cost=L1(), tol=1e-9, max_steps=5000)(X, Y)
    torch.testing.assert_close(theirs, ours, rtol=1e-8, atol=0)


@every_p
@either
@pytest.mark.parametrize("batched", [True, False])
def test_potentials_sum_to_the_value(p: int, debias: bool, batched: bool) -> None:
    options: Any = {"p": p, "blur": 0.5, "debias": debias, "tol": 1e-9, "max_steps": 20_000}
    args = [torch.stack([t, t]) if batched else t for t in (A, X, B, Y)]
    f, g = SamplesLoss(potentials=True, **options)(*args)
    assert [t.shape for t in (f, g)] == [(2 if batched else 1, n) for n in (12, 9)]
    value = SamplesLoss(**options)(*args)
    torch.testing.assert_close((A * f).sum(-1) + (B * g).sum(-1), value.expand(len(f)), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("solver", [Sinkhorn.fastest(), Sinkhorn(), Sinkhorn(update=SinkhornUpdate.SYMMETRIC)], ids=str)
@pytest.mark.parametrize("blur", [0.1, 0.5])
def test_potentials_of_a_cloud_and_itself_are_one(solver: Sinkhorn, blur: float) -> None:
    """The bug: steps in turns move a constant from one of them to the other, and F and G missed it."""
    options: Any = {"blur": blur, "solver": solver, "tol": 1e-6, "max_steps": 20_000}
    loss = SamplesLoss(potentials=True, **options)
    f, g = loss(A, X, B, Y)
    value = SamplesLoss(**options)(A, X, B, Y)
    assert ((A * f).sum() + (B * g).sum()).item() == pytest.approx(value.item(), rel=1e-6)
    # On equal clouds both witness functions are 0.
    f, g = loss(A, X, A, X)
    assert float((f.squeeze(0) + g.squeeze(0)).detach().abs().max()) < 1e-3 * blur**2


@every_p
def test_the_potential_gives_the_gradient(p: int) -> None:
    """d S / d x_i = a_i d F(x_i) / d x_i: what makes potentials witness functions."""
    options: Any = {"p": p, "blur": 0.5, "tol": 1e-10, "max_steps": 20_000}
    _, of_f = differentiated(lambda x: SamplesLoss(potentials=True, **options)(A, x, B, Y)[0].squeeze(0) @ A, X)
    _, of_value = differentiated(lambda x: SamplesLoss(**options)(A, x, B, Y), X)
    torch.testing.assert_close(of_f, of_value, rtol=1e-4, atol=1e-6)


@every_p
@either
def test_points_that_all_coincide_are_at_no_distance(p: int, debias: bool) -> None:
    x, y = torch.ones(5, 2).double(), torch.ones(4, 2).double()
    value, gradient = differentiated(lambda x: SamplesLoss(p=p, debias=debias)(x, y), x)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max().item() <= 1e-12


OF_SPEED: list[dict[str, Any]] = [{"diameter": 3.0}, {"truncate": None}, {"verbose": True}, {"cluster_scale": 1.0}]
OF_SPEED += [{"backend": backend} for backend in ("auto", "tensorized", "online", "multiscale")]


@pytest.mark.parametrize("value", OF_SPEED)
def test_options_of_speed_change_nothing(value: Any) -> None:
    assert SamplesLoss(blur=0.5, **value)(X, Y).item() == SamplesLoss(blur=0.5)(X, Y).item()


def test_labels_of_clusters_change_nothing() -> None:
    loss = SamplesLoss(blur=0.5)
    labels = [torch.arange(n) // 4 for n in (12, 9)]
    assert loss(labels[0], A, X, labels[1][:, None], B, Y).item() == loss(A, X, B, Y).item()
    assert loss(None, A, X, None, B, Y).item() == loss(A, X, B, Y).item()


def test_blur_and_reach_may_be_changed_between_calls() -> None:
    """Loops that lower the blur as they go set it; so they do reach."""
    loss = SamplesLoss(blur=0.5, reach=(1.0, 2.0))
    assert loss.reach == (1.0, 2.0)
    loss.blur, loss.reach = 0.3, 0.8
    assert loss(X, Y).item() == SamplesLoss(blur=0.3, reach=0.8)(X, Y).item()
    loss.reach = None
    assert loss(X, Y).item() == SamplesLoss(blur=0.3)(X, Y).item()


NOT_HERE: list[tuple[dict[str, Any], str]] = [
    ({"loss": "gaussian"}, "no loss 'gaussian'.*use loss='energy'"),
    ({"loss": "laplacian"}, "no loss 'laplacian'"),
    ({"loss": "hausdorff"}, "no loss 'hausdorff'.*small blur"),
    ({"loss": "sinkhorm"}, "no loss 'sinkhorm'.*take 'sinkhorn'"),
    ({"reach": -1.0}, "reach must be a positive length"),
    ({"reach": (1.0, 2.0, 3.0)}, "reach must be a positive length, or a pair"),
    ({"reach": 1.0, "loss": "energy"}, "reach means nothing to loss='energy'"),
    ({"backend": "keops"}, "no backend 'keops'.*Large problems, docs/problems.md"),
    ({"kernel": lambda x, y: x @ y.mT}, "kernel= belongs to losses that are not here"),
    ({"cost": "Norm2(X-Y)"}, "got the formula 'Norm2"),
    ({"cost": 3}, "cost must be a function or a Cost, got 3"),
    ({"loss": "energy", "cost": SqEuclidean()}, "cost means nothing to loss='energy'"),
    ({"p": 3}, r"p must be 1 or 2, got 3.*PNorm\(p="),
    ({"blur": 0.0}, r"blur must be a positive length, got 0\.0"),
    ({"scaling": 1.0}, r"in \(0, 1\), got 1\.0"),
    ({"epsilon": 0.1}, r"no option \['epsilon'\].*blur, reach"),
]
test_what_is_not_here_is_refused_with_a_remedy = refusals([(partial(SamplesLoss, **o), said) for o, said in NOT_HERE])
BAD_CALLS: list[tuple[tuple[Any, ...], str]] = [
    ((X,), r"called with \(x, y\) or \(a, x, b, y\), got 1"),
    ((A[:4], A, X, B, B, Y), r"l_x has shape \(4,\), and x has 12 points"),
    ((A, A, X, torch.ones(1, 9), B, Y), r"l_y has shape \(1, 9\), and y has 9 points"),
    ((2 * A, X, B, Y), "a sums to 2, not to 1"),
    ((X, Y, A, B), r"called with \(a, x, b, y\), weights before their points.*\(12, 2\), \(9, 2\), \(12,\), \(9,\)"),
    ((X, A, Y, B), r"called with \(a, x, b, y\), weights before their points"),
    ((A, X, B[:4], Y), "b has shape"),
    (("x", Y), "x must be a torch.Tensor"),
]
test_bad_calls_are_refused = refusals([(partial(SamplesLoss(), *args), said) for args, said in BAD_CALLS])


@pytest.mark.parametrize("size", [1e25, 3e38])
@pytest.mark.parametrize("potentials", [False, True])
@pytest.mark.parametrize("loss", [{"p": 1}, {"p": 2}, {"reach": 1.0}, {"loss": "energy"}, {"debias": False}], ids=str)
def test_points_too_far_apart_are_refused_and_forbid_nothing(
    loss: dict[str, Any], potentials: bool, size: float
) -> None:
    """An infinite cost forbids a pair only where a user's function says so. The bug: the energy distance was NaN."""
    x = X.float()
    x[0], x[1] = size, -size
    if loss.get("p") == 1 or loss.get("loss") == "energy":
        x[0] *= 3e38 / size
        x[1] *= 3e38 / size
    refused("overflows torch.float32.*rescale", SamplesLoss(potentials=potentials, **loss), x, Y.float())


def test_a_function_forbids_pairs_by_infinity() -> None:
    def near(x: Tensor, y: Tensor) -> Tensor:
        costs = (x[:, :, None] - y[:, None]).square().sum(-1) / 2
        return torch.where(costs < 2, costs, math.inf)

    f, g = SamplesLoss(blur=0.5, cost=near, debias=False, potentials=True, tol=1e-7)(X, X)
    costs = near(X[None], X[None])[0]
    plan = ((f.T + g - costs) / 0.25).exp() / 144
    assert costs.isinf().any()
    torch.testing.assert_close(plan.sum(0), torch.full((12,), 1 / 12).double(), rtol=1e-3, atol=0)


def test_a_cost_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"cost must return a tensor of shape \(1, 12, 9\).*got \(12, 9\)"):
        SamplesLoss(cost=lambda x, y: torch.cdist(x[0], y[0]))(X, Y)


def test_what_does_not_converge_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match="3 steps"):
        SamplesLoss(blur=0.01, max_steps=3)(X, Y)


@pytest.fixture
def peer() -> Callable[..., Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("geomloss", reason="geomloss is not installed: pip install -e '.[peers]'")
    make: Callable[..., Any] = module.SamplesLoss
    return make


@either
@pytest.mark.parametrize(("p", "room"), [(2, {"rel": 1e-4}), (1, {"abs": 1e-4})])
@pytest.mark.filterwarnings("ignore")
def test_geomloss_values(p: int, room: dict[str, float], debias: bool, peer: Any) -> None:
    """It takes no distance for less than 1e-4, so its costs of a point to itself are too high by that."""
    options: Any = {"p": p, "blur": 0.6, "debias": debias, "scaling": 0.99}
    theirs = peer(backend="tensorized", **options)(A, X, B, Y).item()
    assert SamplesLoss(**options)(A, X, B, Y).item() == pytest.approx(theirs, **room)


@every_p
@pytest.mark.filterwarnings("ignore")
def test_geomloss_gradient_and_potentials(p: int, peer: Any) -> None:
    """Theirs at 0.99 is 1.5 % from the gradient of the converged value, at 0.999 0.2 %."""
    options: Any = {"p": p, "blur": 0.6, "scaling": 0.99}
    gradients = []
    for make in (lambda **o: peer(backend="tensorized", **o), lambda **o: SamplesLoss(tol=1e-4, **o)):
        _, gradient = differentiated(lambda x, make=make: make(**options)(A, x, B, Y), X)
        f, g = (t.detach() for t in make(potentials=True, **options)(A, X, B, Y))
        gradients.append((gradient, f.T + g))
    for theirs, ours in zip(*gradients, strict=True):
        assert theirs.shape == ours.shape
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-2 * theirs.abs().max().item())


@pytest.mark.filterwarnings("ignore")
def test_geomloss_energy(peer: Any) -> None:
    theirs = peer("energy", backend="tensorized")(A, X, B, Y).item()
    assert SamplesLoss("energy")(A, X, B, Y).item() == pytest.approx(theirs, abs=1e-4)
