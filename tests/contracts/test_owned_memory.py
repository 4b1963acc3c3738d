"""What is read later is what was given: tensors that change after a call change neither gradient nor interval.

A gradient that can no longer be right raises, as PyTorch's own do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from cases.checks import crossed
from cases.components import SMOOTH, public
from cases.random_problems import measures
from cases.solver_cases import regulariser
from otgen.ot import KL, Discrete, GridW1, NoReg, Regulariser, SamplesLoss, SemiDiscrete, TransportLoss, solve

Change = Callable[[Tensor], None]


@torch.no_grad()
def added(t: Tensor) -> None:
    t.add_(1.0)


@torch.no_grad()
def copied(t: Tensor) -> None:
    t.copy_(torch.flip(t, (0,)) * 3)


def by_data(t: Tensor) -> None:
    t.data.mul_(2.0)


@torch.no_grad()
def filled(t: Tensor) -> None:
    t.fill_(float("nan"))


def stepped(t: Tensor) -> None:
    """By an optimiser."""
    leaf = t.detach()
    leaf.grad = torch.ones_like(leaf)
    torch.optim.SGD([leaf], lr=0.5).step()


CHANGES: tuple[Change, ...] = (added, copied, by_data, filled, stepped)
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
every_place = pytest.mark.parametrize("place", range(4), ids=["x", "y", "a", "b"])
every_regulariser = pytest.mark.parametrize("cls", [*SMOOTH, NoReg], ids=lambda c: c.__name__)


class _Geomloss(torch.nn.Module):
    """`SamplesLoss`, called as the other losses are."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.inner = SamplesLoss(blur=0.5, **options)

    @property
    def last(self) -> Any:
        return self.inner.last

    def forward(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return self.inner(a, x, b, y)  # type: ignore[no-any-return]


def _of(make: type[TransportLoss], cls: type[Regulariser]) -> Callable[[], Any]:
    return lambda: make(reg=regulariser(cls), max_steps=100, on_unconverged="ignore")


LOSSES: dict[str, Callable[[], Any]] = {
    **{
        f"{make.__name__}-{cls.__name__}": _of(make, cls)
        for make in public(TransportLoss)  # type: ignore[type-abstract]
        for cls in (*SMOOTH, NoReg)
    },
    "SamplesLoss": lambda: _Geomloss(),
    "SamplesLoss-biased": lambda: _Geomloss(debias=False),
}
every_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


def inputs() -> list[Tensor]:
    """Points and weights, whose halves have mass."""
    return list(measures(6, 4, 2, zeros=(0, 0)))


def used(leaves: list[Tensor], *, computed: bool) -> list[Tensor]:
    """What a loss is given: the leaves, or what a layer makes of them."""
    return [leaf * 1 for leaf in leaves] if computed else list(leaves)


def reading(result: Any) -> Tensor:
    """All numbers that a result of a loss or a solve has."""
    found = [result.value, result.lower, result.upper, result.gap, result.rel_gap]
    solutions = getattr(result, "solutions", [result])
    for one in solutions:
        bound = one.grad_error_bound
        numbers = [one.lower, one.upper, one.value_linear, one.marginal_error_a, one.marginal_error_b]
        found += [*numbers, one.plan().flatten(), one.potentials.f, one.potentials.g]
        found += [torch.tensor([p]) for p in (bound.plan, bound.x, bound.y, bound.relative) if p is not None]
        if not isinstance(one.problem.reg, KL):
            found.append(one.sparse_plan().to_dense())
    return torch.cat([part.detach().double().flatten() for part in found])


def equal(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@cache
def undisturbed(make: Callable[[], Any]) -> tuple[tuple[Tensor, ...], Tensor]:
    """A loss's gradients, and all that is read of it afterwards."""
    leaves, loss = [t.requires_grad_() for t in inputs()], make()
    return torch.autograd.grad(loss(*leaves), leaves), reading(loss.last)


def gradient_or_refusal(value: Tensor, leaves: list[Tensor], best: tuple[Tensor, ...]) -> None:
    """Backward gives what it would have given, or raises."""
    try:
        found = torch.autograd.grad(value, leaves)
    except RuntimeError:
        return
    for got, want in zip(found, best, strict=True):
        equal(got, want)


@every_loss
@crossed(every_change, every_place)
@pytest.mark.parametrize("computed", [False, True], ids=["leaf", "computed"])
def test_losses(make: Callable[[], Any], change: Change, place: int, computed: bool) -> None:
    leaves, loss = [t.requires_grad_() for t in inputs()], make()
    given = used(leaves, computed=computed)
    value = loss(*given)
    change(given[place])
    best, plain = undisturbed(make)
    gradient_or_refusal(value, leaves, best)
    equal(reading(loss.last), plain)


@every_loss
def test_an_optimiser_moves_the_points(make: Callable[[], Any]) -> None:
    """The common case: backward, step, then a look at the interval."""
    calm = make()
    calm(*inputs())
    points, *others = inputs()
    p, loss = torch.nn.Parameter(points), make()
    loss(p, *others).backward()
    torch.optim.Adam([p], lr=1.0).step()
    equal(reading(loss.last), reading(calm.last))
    for others_too in others:
        added(others_too)
    equal(reading(loss.last), reading(calm.last))


@pytest.mark.parametrize(
    "make", [LOSSES["SinkhornDivergence-KL"], LOSSES["SamplesLoss"]], ids=["divergence", "geomloss"]
)
@every_change
def test_one_tensor_on_both_sides(make: Callable[[], Any], change: Change) -> None:
    x, _, a, _ = inputs()
    calm = make()
    # With a graph too, since the gradient of a sum whose terms cancel is an accuracy that its solve looks at.
    calm(x.clone().requires_grad_(), x.clone(), a, a.clone())
    loss, shared = make(), x.clone().requires_grad_()
    loss(shared, shared, a, a)
    change(shared)
    equal(reading(loss.last), reading(calm.last))


def _points(tensors: list[Tensor], reg: Regulariser) -> Discrete:
    return Discrete(*tensors, reg=reg)


def _costs(tensors: list[Tensor], reg: Regulariser) -> Discrete:
    return Discrete.from_matrix(*tensors, reg=reg)


FORMS: dict[str, tuple[Callable[[list[Tensor], Regulariser], Discrete], Callable[[], list[Tensor]]]] = {
    "points": (_points, inputs),
    "matrix": (_costs, lambda: [Discrete(*inputs()[:2]).matrix.clone(), *inputs()[2:]]),
}
every_form = pytest.mark.parametrize(("build", "given"), FORMS.values(), ids=FORMS)


@every_form
@crossed(every_regulariser, every_change)
@pytest.mark.parametrize("when", ["before the solve", "after it"])
@pytest.mark.parametrize("graph", [False, True], ids=["numbers", "graph"])
def test_solutions(build: Any, given: Any, cls: type[Regulariser], change: Change, when: str, graph: bool) -> None:
    reg = regulariser(cls)
    leaves = [t.requires_grad_(graph) for t in given()]
    calm = solve(build(leaves, reg), max_steps=100, on_unconverged="ignore")
    best, plain = torch.autograd.grad(calm.value, leaves) if graph else (), reading(calm)
    for place in range(len(leaves)):
        own = [t.requires_grad_(graph) for t in given()]
        problem = build(own, reg)
        if when == "before the solve":
            change(own[place])
        found = solve(problem, max_steps=100, on_unconverged="ignore")
        if when == "after it":
            change(own[place])
        if graph:
            gradient_or_refusal(found.value, own, best)
        equal(reading(found), plain)


@every_regulariser
def test_a_batch_is_owned_too(cls: type[Regulariser]) -> None:
    tensors = [torch.stack([t, t * 1.0]) for t in inputs()]
    calm = solve(_points([t.clone() for t in tensors], regulariser(cls)), max_steps=100, on_unconverged="ignore")
    found = solve(_points(tensors, regulariser(cls)), max_steps=100, on_unconverged="ignore")
    for t in tensors:
        added(t)
    equal(reading(found), reading(calm))
    equal(reading(found[1]), reading(calm[1]))


class _Line:
    """A law of one number."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.rand(n, 2, generator=rng, dtype=torch.float64)


@every_change
@pytest.mark.parametrize("place", [0, 1], ids=["atoms", "weights"])
@pytest.mark.parametrize("reg", [KL(eps=0.2), NoReg()], ids=["KL", "NoReg"])
@pytest.mark.parametrize("when", ["before the solve", "after it"])
def test_semi_discrete(change: Change, place: int, reg: Regulariser, when: str) -> None:
    _, y, _, b = inputs()

    def numbers(y: Tensor, b: Tensor, disturbed: bool) -> Tensor:
        given = (y, b)
        problem = SemiDiscrete(_Line(), *given, reg=reg)
        if disturbed and when == "before the solve":
            change(given[place])
        found = solve(problem, tol=0, max_steps=20)
        if disturbed and when == "after it":
            change(given[place])
        x = torch.linspace(0, 1, 10, dtype=torch.float64).reshape(5, 2)
        estimate = found.estimate
        parts = [found.value, found.loss(x), found.map(x), torch.tensor([estimate.lower, estimate.chi2])]
        parts.append(solve(problem.sample(6, torch.Generator().manual_seed(0)), max_steps=50).upper)
        return torch.cat([part.detach().double().flatten() for part in parts])

    equal(numbers(y.clone(), b.clone(), True), numbers(y.clone(), b.clone(), False))


@every_change
@pytest.mark.parametrize("shape", [(7,), (3, 4)], ids=["line", "plane"])
@pytest.mark.parametrize("when", ["before the solve", "after it"])
def test_grids(change: Change, shape: tuple[int, ...], when: str) -> None:
    masses = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def solved(c: Tensor, disturbed: bool) -> tuple[Tensor, Any]:
        problem = GridW1(c, 0.5)
        if disturbed and when == "before the solve":
            change(c)
        found = solve(problem, max_steps=50, on_unconverged="ignore")
        if disturbed and when == "after it":
            change(c)
        return found.value, found

    def numbers(found: Any) -> Tensor:
        parts = [found.value, found.lower, found.upper, found.critic, found.flow, torch.tensor(found.marginal_error)]
        return torch.cat([part.detach().double().flatten() for part in parts])

    calm_c, c = ((masses - masses.mean()).requires_grad_() for _ in range(2))
    calm_value, calm = solved(calm_c, False)
    value, found = solved(c, True)
    gradient_or_refusal(value, [c], torch.autograd.grad(calm_value, [calm_c]))
    equal(numbers(found), numbers(calm))
