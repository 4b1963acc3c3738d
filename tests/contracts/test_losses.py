"""Laws that every transport loss obeys; a new loss is under them without being listed."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch

from cases.checks import crossed, differentiated, refused
from cases.components import FOUR_COSTS, SMOOTH, everywhere, name, public
from cases.differences import compare
from cases.random_problems import Measures, measures
from otgen import ot
from otgen.errors import ConvergenceWarning, UnconvergedError
from otgen.ot import KL, MarginalError, MinibatchEnergyDistance, NoReg, Regulariser, SmoothRegulariser, TransportLoss

LOSSES: list[Any] = public(TransportLoss)  # type: ignore[type-abstract]
REGULARISERS: list[Regulariser] = [*(cls(eps=1.5) for cls in SMOOTH), NoReg()]
every_loss = pytest.mark.parametrize("make", LOSSES, ids=lambda cls: cls.__name__)
# Losses of the two laws, whatever the order of the points; the others depend on which half a point is in.
OF_LAWS = [cls for cls in LOSSES if cls is not MinibatchEnergyDistance]
every_loss_of_laws = pytest.mark.parametrize("make", OF_LAWS, ids=lambda cls: cls.__name__)
every_smooth = pytest.mark.parametrize("reg", [cls(eps=1.5) for cls in SMOOTH], ids=name)
every_regulariser = pytest.mark.parametrize("reg", REGULARISERS, ids=name)
every_loss_and_regulariser, every_loss_and_smooth = (crossed(every_loss, m) for m in (every_regulariser, every_smooth))
POINTS = ("x", "y", "a", "b")


def inputs(seed: int = 1) -> Measures:
    return measures(6, 4, 3, seeds=(seed, seed + 1, seed + 2, seed + 4))


def converged(make: Any, reg: Regulariser) -> Any:
    """The loss, with options that take a small problem to its last digits; a divergence's steps under KL are slow."""
    return partial(make, reg=reg, tol=0, max_steps=400 if make is ot.SinkhornDivergence and isinstance(reg, KL) else 60)


def batch() -> Measures:
    parts = [inputs(seed=seed) for seed in (1, 11, 21)]
    x, y, a, b = (torch.stack(part) for part in zip(*parts, strict=True))
    return x, y, a, b


def test_every_concrete_loss_is_exported() -> None:
    assert everywhere(TransportLoss) == set(LOSSES)  # type: ignore[type-abstract]


@every_loss_and_regulariser
def test_shape_dtype_and_device(make: Any, reg: Regulariser) -> None:
    for dtype in (torch.float32, torch.float64):
        single = tuple(t.to(dtype) for t in inputs())
        several = tuple(t.to(dtype) for t in batch())
        loss = make(reg=reg, tol=0, max_steps=20)
        for tensors, shape in ((single, ()), (several, (3,))):
            for args in (tensors, tensors[:2], (*tensors[:2], None, tensors[3])):
                value = loss(*args)
                assert (value.shape, value.dtype, value.device) == (shape, dtype, tensors[0].device)
                assert bool(torch.isfinite(value).all())


@every_loss_and_regulariser
def test_no_weights_are_uniform_weights(make: Any, reg: Regulariser) -> None:
    x, y, *_ = inputs()
    loss = make(reg=reg, tol=0, max_steps=20)
    uniform = loss(x, y, torch.full((6,), 1 / 6).double(), torch.full((4,), 1 / 4).double())
    torch.testing.assert_close(loss(x, y), uniform, rtol=1e-6, atol=0)
    exact = loss(x, y, torch.ones(6).double() / 6, torch.ones(4).double() / 4)
    torch.testing.assert_close(loss(x, y), exact, rtol=1e-12, atol=0)


@every_loss_and_regulariser
def test_a_batch_is_a_loop(make: Any, reg: Regulariser) -> None:
    tensors = batch()
    factors = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in tensors]
    together = converged(make, reg)()(*leaves)
    gradients = torch.autograd.grad(factors @ together, leaves)
    for k, factor in enumerate(factors):
        alone, *parts = differentiated(converged(make, reg)(), *(t[k] for t in tensors))
        torch.testing.assert_close(together[k], alone, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close([g[k] for g in gradients], [factor * g for g in parts], rtol=1e-7, atol=1e-9)


@every_loss_and_smooth
def test_one_weight_vector_serves_a_batch(make: Any, reg: SmoothRegulariser) -> None:
    x, y, a, b = batch()
    loss = make(reg=reg, tol=0, max_steps=20)
    repeated = loss(x, y, a[:1].repeat(3, 1), b[:1].repeat(3, 1))
    torch.testing.assert_close(loss(x, y, a[0], b[0]), repeated, rtol=1e-13, atol=0)


@every_loss_and_regulariser
@pytest.mark.parametrize("cost", FOUR_COSTS, ids=name)
def test_symmetry(make: Any, reg: Regulariser, cost: Any) -> None:
    x, y, a, b = inputs()
    loss = converged(make, reg)(cost=cost)
    value = loss(x, y, a, b)
    assert abs(value.item()) > 1e-3
    torch.testing.assert_close(loss(y, x, b, a), value, rtol=1e-8, atol=1e-10)


@every_loss_of_laws
@every_regulariser
def test_permutation(make: Any, reg: Regulariser) -> None:
    """The order of the points changes neither the value nor the gradient that a point gets."""
    x, y, a, b = inputs()
    rows, columns = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 1, 3])
    loss = converged(make, reg)()
    plain = [t.clone().requires_grad_() for t in (x, y, a, b)]
    moved = [t[order].clone().requires_grad_() for t, order in zip((x, y, a, b), (rows, columns) * 2, strict=True)]
    value, permuted = loss(*plain), loss(*moved)
    torch.testing.assert_close(permuted, value, rtol=1e-11, atol=1e-12)
    before, after = torch.autograd.grad(value, plain[:2]), torch.autograd.grad(permuted, moved[:2])
    for one, other, order in zip(before, after, (rows, columns), strict=True):
        torch.testing.assert_close(one[order], other, rtol=1e-7, atol=1e-9)


@every_loss_of_laws
@every_smooth
def test_splitting_an_atom_changes_nothing(make: Any, reg: SmoothRegulariser) -> None:
    """n != m, and a point given twice with half its weight each is the same measure."""
    x, y, a, b = inputs()
    split = torch.cat([a[:1] / 2, a[:1] / 2, a[1:]])
    loss = converged(make, reg)()
    torch.testing.assert_close(loss(torch.cat([x[:1], x]), y, split, b), loss(x, y, a, b), rtol=1e-8, atol=1e-10)


@every_loss_and_smooth
@pytest.mark.parametrize("sizes", [(6, 4), (4, 4), (1, 3)])
def test_gradient_by_finite_differences(make: Any, reg: SmoothRegulariser, sizes: tuple[int, int]) -> None:
    n, m = sizes
    if make is MinibatchEnergyDistance and (n % 2 or m % 2):
        pytest.skip("its sides have two halves each")
    zeros = int(n > 1)
    compare(converged(make, reg)(), measures(n, m, 3, zeros=(zeros, zeros)), POINTS, count=2, room=2e-8)


@every_loss_and_regulariser
def test_scaling_the_loss_scales_its_gradient(make: Any, reg: Regulariser) -> None:
    leaves = [t.requires_grad_() for t in inputs()]
    loss = make(reg=reg, tol=0, max_steps=20)
    once = torch.autograd.grad(loss(*leaves), leaves)
    assert max(g.abs().max().item() for g in once) > 1e-3
    # The energy distance's terms cancel in a weight.
    room = {"rtol": 1e-13, "atol": 1e-14} if make is MinibatchEnergyDistance else {"rtol": 1e-14, "atol": 1e-16}
    for factor in (10.0, -0.5):
        for single, scaled in zip(once, torch.autograd.grad(factor * loss(*leaves), leaves), strict=True):
            torch.testing.assert_close(scaled, factor * single, **room)


@every_loss_and_regulariser
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_last_is_detached_and_holds_the_value(make: Any, reg: Regulariser, dtype: torch.dtype) -> None:
    slack = 1e-12 if dtype == torch.float64 else 1e-5
    for tensors in (inputs(), batch()):
        leaves = [t.to(dtype).requires_grad_() for t in tensors]
        for steps in (1, 5, 100):
            loss = make(reg=reg, tol=0, max_steps=steps)
            assert loss.last is None
            value = loss(*leaves)
            last = loss.last
            assert value.requires_grad
            for part in (last.value, last.lower, last.upper, last.gap):
                assert not part.requires_grad
                assert part.shape == value.shape
            assert torch.equal(last.value, value)
            assert last.steps == steps
            room = slack * (1 + value.detach().double().abs())
            assert bool((last.lower - room <= value).all())
            assert bool((value <= last.upper + room).all())
            assert bool((last.lower <= last.upper).all())


@every_loss
def test_last_is_of_the_last_call(make: Any) -> None:
    x, y, a, b = inputs()
    loss = make(reg=KL(eps=1.5), tol=0, max_steps=20)
    loss(x, y, a, b)
    first = loss.last
    second_value = loss(x, y + 1)
    assert loss.last is not first
    assert loss.last.value.item() == second_value.item() != first.value.item()
    assert loss.last.eps == 1.5


@every_loss
def test_unknown_option_is_refused_at_construction(make: Any) -> None:
    refused(r"no option \['epsilon'\].*options are cost, reg, solver, value, until, tol", make, epsilon=0.1)
    refused("max_iter", make, reg=KL(eps=1.0), max_iter=5)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"reg": "kl"}, r"reg must be a Regulariser, such as KL.*got 'kl'"),
    ({"reg": 0.1}, r"reg must be a Regulariser.*got 0\.1"),
    ({"cost": "sqeuclidean"}, r"cost must be a Cost, such as SqEuclidean\(\).*got 'sqeuclidean'"),
    ({"solver": "sinkhorn"}, r"solver must be a Solver, such as Sinkhorn\(\).*got 'sinkhorn'"),
    ({"until": 1e-3}, r"until must be a Stopping, such as RelGap.*got 0\.001"),
    ({"gradient": "envelope"}, r"gradient must be a Gradient, such as Envelope\(\).*got 'envelope'"),
    ({"tol": -1.0}, r"tol must be at least 0, got -1\.0"),
    ({"max_steps": -1}, r"max_steps must be a whole number of at least 0, got -1"),
    ({"check_every": 0}, r"check_every must be a whole number of at least 1, got 0"),
    ({"on_unconverged": "shout"}, r"on_unconverged must be one of.*'warn'.*got 'shout'"),
]


@every_loss
@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_wrong_kinds_are_refused_at_the_call(make: Any, options: dict[str, Any], message: str) -> None:
    x, y, *_ = inputs()
    loss = make(**options)
    refused(message, loss, x, y)
    assert loss.last is None


@every_loss
def test_a_solver_that_does_not_fit_is_refused(make: Any) -> None:
    x, y, *_ = inputs()
    for reg, solver in ((ot.Quadratic(eps=1.0), ot.Sinkhorn()), (KL(eps=1.0), ot.Exact()), (NoReg(), ot.Newton())):
        refused(f"{type(solver).__name__} cannot solve.*{type(reg).__name__}.*use", make(reg=reg, solver=solver), x, y)


@every_loss
def test_options_reach_the_solve(make: Any) -> None:
    x, y, *_ = inputs()
    short: dict[str, Any] = {"reg": KL(eps=0.01), "max_steps": 2}
    with pytest.warns(ConvergenceWarning, match="max_steps"):
        make(**short)(x, y)
    with pytest.raises(UnconvergedError):
        make(on_unconverged="raise", **short)(x, y)
    quiet = make(on_unconverged="ignore", **short)
    quiet(x, y)
    assert not quiet.last.converged
    assert quiet.last.steps == 2
    done = make(reg=KL(eps=1.5), until=MarginalError(1e-9), check_every=1)
    done(x, y)
    assert done.last.converged
    loose = make(reg=KL(eps=1.5), until=MarginalError(1e-2), check_every=1)
    loose(x, y)
    assert loose.last.steps < done.last.steps


@every_loss
def test_a_module_without_parameters_or_state(make: Any) -> None:
    loss = make(reg=KL(eps=1.5), tol=0, max_steps=5)
    loss(*inputs())
    assert isinstance(loss, torch.nn.Module)
    assert [*loss.parameters(), *loss.buffers(), *loss.state_dict()] == []
    assert all(part in repr(loss) for part in ("reg=", "cost="))


@every_loss
def test_deepcopy_gives_a_loss_of_its_own(make: Any) -> None:
    tensors = [t.requires_grad_() for t in inputs()]
    loss = make(reg=KL(eps=1.5), tol=0, max_steps=5)
    fresh, value = copy.deepcopy(loss), loss(*tensors)
    assert fresh.last is None
    used = copy.deepcopy(loss)
    assert used.last.value.item() == value.item()
    assert torch.equal(used(*tensors), value)
    assert used(tensors[0] + 1, *tensors[1:]).item() != value.item() == loss.last.value.item()
