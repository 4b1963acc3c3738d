"""What PyTorch's own tools make of losses, problems and solutions: transforms, compilers, copies and files."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from cases import entries
from cases.checks import differentiated
from cases.components import public
from cases.entries import ENTRIES, FIXED, LOSSES, X, Y
from cases.errors import input_error
from otgen import ot
from otgen.ot import (
    KL,
    Discrete,
    Exact,
    GridW1,
    NoReg,
    OTLoss,
    PNorm,
    Quadratic,
    SamplesLoss,
    SemiDiscrete,
    SinkhornDivergence,
    Unroll,
    solve,
)

# Torch's own: its forward mode compiles a script on first use, and its compiler looks at the gradients of non-leaves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

every_entry = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)

Transform = Callable[[Callable[[Tensor], Tensor], Tensor], Any]


def dual(function: Callable[[Tensor], Tensor], x: Tensor) -> Any:
    """The derivative along x itself, in forward mode."""
    with forward_ad.dual_level():
        value = function(forward_ad.make_dual(x, x))  # type: ignore[no-untyped-call]
        return forward_ad.unpack_dual(value).tangent  # type: ignore[no-untyped-call]


func = torch.func
FORWARD = "forward-mode tangent.*torch.autograd.grad.*detach"
FUNCTIONAL = r"inside a transform of torch\.func.*torch\.autograd\.grad.*\(B, n, d\) instead of vmap"
TRANSFORMS: dict[str, tuple[Transform, str]] = {
    "grad": (lambda f, x: func.grad(f)(x), FUNCTIONAL),
    "vmap": (lambda f, x: func.vmap(f)(x.unsqueeze(0)), FUNCTIONAL),
    "jvp": (lambda f, x: func.jvp(f, (x,), (x,)), FUNCTIONAL),
    "vjp": (lambda f, x: func.vjp(f, x), FUNCTIONAL),
    "jacrev": (lambda f, x: func.jacrev(f)(x), FUNCTIONAL),
    "jacfwd": (lambda f, x: func.jacfwd(f)(x), FUNCTIONAL),
    "hessian": (lambda f, x: func.hessian(f)(x), FUNCTIONAL),
    "vmap of grad": (lambda f, x: func.vmap(func.grad(f))(x.unsqueeze(0)), FUNCTIONAL),
    "forward_ad": (dual, FORWARD),
}


@every_entry
@pytest.mark.parametrize(("transform", "words"), TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_functional_transform_is_refused_in_one_line(entry: Any, transform: Transform, words: str) -> None:
    assert bool(torch.isfinite(entry(X)))
    message = input_error(words, transform, entry, X)
    assert len(message) < 300


@pytest.mark.parametrize("name", ["grad", "jvp", "vjp", "forward_ad"])
def test_costs_are_ordinary_functions_and_may_be_transformed(name: str) -> None:
    def cost(u: Tensor) -> Tensor:
        return PNorm(p=1.5)(u, Y).sum()

    (gradient,) = differentiated(cost, X)[1:]
    found, along = TRANSFORMS[name][0](cost, X), (gradient * X).sum()
    if name == "vjp":
        (found,) = found[1](torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(
        found[1] if name == "jvp" else found, along if name in ("jvp", "forward_ad") else gradient
    )


@every_loss
def test_constants_pass_through_forward_mode(loss: Any) -> None:
    """The loss of points that have no tangent is the loss."""
    value = loss(X)
    with forward_ad.dual_level():
        assert torch.equal(loss(X), value)


def test_a_problem_from_outside_is_not_solved_within_a_transform() -> None:
    problem = Discrete(X, Y, reg=KL(eps=1.0))
    for transform in (func.grad, func.vmap):
        input_error(FUNCTIONAL, transform(lambda u: u.sum() * solve(problem).value), X)


def differences(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    return (function(x + 1e-6 * v) - function(x - 1e-6 * v)) / 2e-6


EXACT = {
    "semi-discrete loss": entries.ENTRIES["semi-discrete loss"],
    "histogram": entries.ENTRIES["histogram"],
    "critic": entries.ENTRIES["critic"],
    "unrolled": entries.ENTRIES["unrolled"],
    "envelope": lambda u: OTLoss(reg=KL(eps=1.0), tol=1e-10, max_steps=1000)(u, Y),
    "divergence": lambda u: SinkhornDivergence(reg=KL(eps=1.0), tol=1e-10, max_steps=1000)(u, Y),
    "Quadratic": lambda u: OTLoss(reg=Quadratic(eps=1.0), tol=1e-10)(u, Y),
}


@pytest.mark.parametrize("function", EXACT.values(), ids=EXACT)
@pytest.mark.filterwarnings("ignore::otgen.errors.ConvergenceWarning")
def test_directional_derivatives_by_reverse_mode_are_right(function: Any) -> None:
    """`torch.autograd.functional.jvp` differentiates the gradient by its factor: no step may cut that off."""
    direction = Y[:6].flip(0)
    _, along = torch.autograd.functional.jvp(function, X, direction)  # type: ignore[no-untyped-call]
    (gradient,) = differentiated(function, X)[1:]
    torch.testing.assert_close(along, (gradient * direction).sum(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(along, differences(function, X, direction), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["semi-discrete loss", "OTLoss", "SinkhornDivergence", "solve"])
def test_second_derivatives_are_an_error_not_zero(name: str) -> None:
    leaf = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ENTRIES[name](leaf), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match=r"cannot be differentiated a second time.*Unroll\(\)"):
        torch.autograd.grad(gradient.square().sum(), leaf)


def test_jacobians_of_a_batch() -> None:
    x, y = torch.stack([X, X + 1]), torch.stack([Y, Y - 1])
    loss = OTLoss(reg=KL(eps=1.0), **FIXED)
    rows = torch.autograd.functional.jacobian(lambda u: loss(u, y), x)  # type: ignore[no-untyped-call]
    together = torch.autograd.functional.jacobian(lambda u: loss(u, y), x, vectorize=True)  # type: ignore[no-untyped-call]
    assert torch.equal(rows, together)
    for k in range(2):
        torch.testing.assert_close(rows[k, k], differentiated(lambda u, k=k: loss(u, y[k]), x[k])[1])
        assert not rows[k, 1 - k].any()


class Model(nn.Module):
    """A generator and its loss."""

    def __init__(self, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Linear(2, 2, dtype=torch.float64)
        self.loss = loss

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.loss(self.net(x).sin())


# Of both backends the losses of the public classes; of the stricter one everything.
COMPILED = [("aot_eager", name) for name in ENTRIES] + [("eager", cls.__name__) for cls in public(ot.TransportLoss)]


@pytest.mark.parametrize(("backend", "name"), COMPILED)
@pytest.mark.filterwarnings("ignore::otgen.errors.ConvergenceWarning")
def test_a_compiled_model_has_the_same_loss_and_gradients(backend: str, name: str) -> None:
    entry = ENTRIES[name]
    plain, weights = Model(entry), lambda model: [*model.parameters()]
    value = plain(X)
    torch._dynamo.reset()
    compiled = torch.compile(Model(entry), backend=backend)
    for points in (X, X[:4], X):
        expected = plain(points)
        found = compiled(points)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        if not expected.requires_grad:
            continue
        for one, other in zip(
            torch.autograd.grad(found, weights(compiled)), torch.autograd.grad(expected, weights(plain)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert torch.equal(plain(X), value)


@pytest.mark.parametrize("make", [*public(ot.TransportLoss), SamplesLoss], ids=lambda cls: cls.__name__)  # type: ignore[type-abstract]
def test_a_loss_that_is_compiled_itself_keeps_its_last_result(make: Any) -> None:
    torch._dynamo.reset()
    loss = make() if make is SamplesLoss else make(reg=KL(eps=1.0), **FIXED)
    value = torch.compile(loss, backend="eager")(X, Y)
    assert loss.last.value.item() == value.item()
    # What is wrong with the input is said in the same words.
    input_error("y must be a torch.Tensor, got list", torch.compile(loss, backend="eager"), X, Y.tolist())


def test_a_compiled_training_step() -> None:
    """Forward and backward in one compiled function, as in a training loop."""
    torch._dynamo.reset()
    values = []
    for compiled in (False, True):
        model = Model(LOSSES["SinkhornDivergence"])
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

        def backward(model: Model = model) -> Tensor:
            value = model(X)
            value.backward()  # type: ignore[no-untyped-call]
            return value.detach()

        step = torch.compile(backward, backend="eager") if compiled else backward
        for _ in range(3):
            optimiser.zero_grad()
            values.append(step().item())
            optimiser.step()
    assert values[3:] == pytest.approx(values[:3], rel=1e-12)
    assert values[2] < values[0]


def test_the_compiler_is_not_imported_for_a_solve() -> None:
    """It takes a second to import."""
    code = "import sys, torch, otgen.ot as ot; x = torch.rand(3, 2); ot.OTLoss()(x, x); "
    code += "ot.solve(ot.Discrete(x, x)).plan(); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def saved(thing: Any) -> Any:
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS: dict[str, Callable[[Any], Any]] = {"pickle": pickled, "torch.save": saved, "deepcopy": copy.deepcopy}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def leaf() -> Tensor:
    """Points with a graph, no leaf: what a generator makes."""
    return 1 * X.clone().requires_grad_()


LOSS_OBJECTS: dict[str, Callable[[], Any]] = {
    **{cls.__name__: lambda cls=cls: cls(reg=KL(eps=1.0), **FIXED) for cls in public(ot.TransportLoss)},  # type: ignore[type-abstract]
    "unrolled": lambda: OTLoss(reg=KL(eps=1.0), gradient=Unroll(), **FIXED),
    "Quadratic": lambda: SinkhornDivergence(reg=Quadratic(eps=1.0)),
    "NoReg": lambda: OTLoss(reg=NoReg()),
    "SamplesLoss": lambda: SamplesLoss(blur=1.0),
    "SamplesLoss, own cost": lambda: SamplesLoss(cost=entries.euclidean, blur=1.0),
}


@every_way
@pytest.mark.parametrize("make", LOSS_OBJECTS.values(), ids=LOSS_OBJECTS)
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_losses_keep_their_last_result(make: Any, way: Any, read: bool) -> None:
    loss = make()
    fresh = way(loss)
    assert fresh.last is None
    value = loss(leaf(), Y)
    if read:
        repr(loss.last)
    twin = way(loss)
    for kept in (loss.last, twin.last):
        assert kept.value.item() == value.item()
    assert (twin.last.lower.item(), twin.last.upper.item()) == (loss.last.lower.item(), loss.last.upper.item())
    assert repr(twin.last) == repr(loss.last)
    for other in (fresh, twin):
        assert torch.equal(differentiated(other, X, Y)[1], differentiated(loss, X, Y)[1])


@every_way
def test_a_model_that_holds_losses(way: Any) -> None:
    model = nn.ModuleDict({"net": nn.Linear(2, 2, dtype=torch.float64), "loss": SinkhornDivergence(reg=KL(eps=1.0))})
    value = model["loss"](model["net"](X), Y)
    twin = way(model)
    assert torch.equal(twin["loss"](twin["net"](X), Y), value)
    assert twin.state_dict().keys() == {"net.weight", "net.bias"}


def grid_problem(factor: Tensor | None = None) -> GridW1:
    c = entries.deposited(X) - entries.deposited(Y)
    return GridW1(c if factor is None else c * factor, 1.0, low=-4.0)


ONE = torch.ones((), dtype=torch.float64, requires_grad=True)
DISCRETE: dict[str, Callable[[], Any]] = {
    "no graph": lambda: Discrete(X, Y, reg=KL(eps=1.0)),
    "a leaf": lambda: Discrete(X.clone().requires_grad_(), Y, reg=KL(eps=1.0)),
    "a graph": lambda: Discrete(leaf(), Y, leaf().square().sum(1) / leaf().square().sum(), reg=KL()),
    "a batch": lambda: Discrete(torch.stack([leaf(), leaf() + 1]), torch.stack([Y, Y]), reg=Quadratic()),
    "a matrix": lambda: Discrete.from_matrix(entries.euclidean(leaf(), Y), reg=NoReg()),
    "exact": lambda: Discrete(leaf(), Y, reg=NoReg()),
}


@every_way
@pytest.mark.parametrize("make", DISCRETE.values(), ids=DISCRETE)
def test_discrete_problems(make: Any, way: Any) -> None:
    problem = make()
    # Its costs have been computed, with a graph.
    assert problem.matrix.shape == problem.shape
    twin = way(problem)
    assert repr(twin) == repr(problem)
    assert torch.equal(twin.matrix, problem.matrix)
    assert not twin.matrix.requires_grad
    assert torch.equal(solve(twin).value, solve(problem).value)
    # A shallow copy is the same problem.
    assert copy.copy(problem).matrix.requires_grad == problem.matrix.requires_grad


SOLVES: dict[str, Callable[[], Any]] = {
    **{f"discrete, {name}": lambda make=make: solve(make()) for name, make in DISCRETE.items()},
    "one of a batch": lambda: solve(DISCRETE["a batch"]())[0],
    "plain Sinkhorn": lambda: solve(DISCRETE["a graph"](), tol=0, max_steps=20),
    "unrolled": lambda: solve(DISCRETE["a graph"](), tol=0, max_steps=5, gradient=Unroll()),
    "Newton": lambda: solve(DISCRETE["a graph"](), ot.Newton()),
    "DualAscent": lambda: solve(DISCRETE["a graph"](), ot.DualAscent()),
    "Exact": lambda: solve(DISCRETE["exact"](), Exact()),
    "symmetric": lambda: solve(DISCRETE["a graph"](), ot.Sinkhorn(update=ot.SinkhornUpdate.SYMMETRIC)),
}


@every_way
@pytest.mark.parametrize("make", SOLVES.values(), ids=SOLVES)
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
@pytest.mark.filterwarnings("ignore::otgen.errors.ConvergenceWarning")
def test_discrete_solutions(make: Any, way: Any, read: bool) -> None:
    solution = make()
    if read:
        repr(solution)
    twin = way(solution)
    assert not twin.value.requires_grad
    for name in ("value", "lower", "upper", "rel_gap", "value_linear", "marginal_error_a", "marginal_error_b"):
        assert torch.equal(getattr(twin, name), getattr(solution, name).detach())
    assert torch.equal(twin.plan(), solution.plan())
    bounds = [s.grad_error_bound for s in (solution, twin)]
    assert repr(bounds[0]) == repr(bounds[1])
    assert repr(twin) == repr(solution)
    assert (twin.status, twin.steps, twin.eps) == (solution.status, solution.steps, solution.eps)
    # Where it stands, another solve goes on.
    if solution.problem.eps > 0:
        assert torch.equal(solve(twin.problem, warm_start=twin).value, solve(twin.problem, warm_start=solution).value)


GRIDS: dict[str, Callable[[], Any]] = {
    "plain": lambda: solve(grid_problem(), on_unconverged="ignore"),
    "a graph": lambda: solve(grid_problem(1 * ONE), on_unconverged="ignore"),
    "unrolled": lambda: solve(grid_problem(1 * ONE), tol=0, max_steps=3, gradient=Unroll()),
    "a line": lambda: solve(GridW1(torch.tensor([0.5, 0.0, -0.5]) * ONE.float(), 1.0)),
}


@every_way
@pytest.mark.parametrize("make", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_grid_solutions_and_problems(make: Any, way: Any, read: bool) -> None:
    solution = make()
    if read:
        repr(solution)
    twin = way(solution)
    assert not twin.value.requires_grad
    for name in ("value", "lower", "upper", "critic", "flow"):
        assert torch.equal(getattr(twin, name), getattr(solution, name).detach())
    assert (repr(twin), twin.marginal_error) == (repr(solution), solution.marginal_error)
    later = [solve(s.problem, warm_start=s, tol=0, max_steps=2) for s in (solution, twin)]
    assert torch.equal(later[0].lower, later[1].lower)
    problem = grid_problem(1 * ONE)
    assert problem.balanced.requires_grad
    torch.testing.assert_close(way(problem).balanced, problem.balanced.detach(), rtol=1e-12, atol=1e-15)
    assert copy.copy(problem).c.requires_grad


@every_way
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_semi_discrete_solutions_and_problems(way: Any, read: bool) -> None:
    solution = solve(entries.semi_discrete().problem, max_steps=5)
    if read:
        repr(solution)
    twin = way(solution)
    assert repr(twin) == repr(solution)
    assert torch.equal(twin.potentials.g, solution.potentials.g)
    assert torch.equal(twin.loss(X), solution.loss(X))
    later = [
        solve(s.problem, warm_start=s, max_steps=3, rng=torch.Generator().manual_seed(1)) for s in (solution, twin)
    ]
    assert torch.equal(later[0].potentials.g, later[1].potentials.g)
    assert repr(way(solution.problem)) == repr(solution.problem)
    assert isinstance(way(SemiDiscrete(solution.problem.source, Y)), SemiDiscrete)


@every_way
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_continuous_solutions_and_problems(way: Any, read: bool) -> None:
    solution = entries.new_continuous()
    if read:
        repr(solution)
    twin = way(solution)
    assert repr(twin) == repr(solution)
    assert torch.equal(twin.loss(X, Y), solution.loss(X, Y))
    assert torch.equal(twin.lower, solution.lower)
    assert torch.equal(twin.upper, solution.upper)
    later = [solve(s.problem, entries.small(bank=50), warm_start=s, tol=0, max_steps=2) for s in (solution, twin)]
    assert torch.equal(later[0].value, later[1].value)
    assert isinstance(way(solution.problem), ot.Continuous)


def test_solvers_go_on_from_pickled_states() -> None:
    """A state on its own, as a checkpoint holds it."""
    solution = solve(entries.semi_discrete().problem, max_steps=5)
    state = pickled(solution.state)
    assert torch.equal(state.g, solution.state.g)
    assert torch.equal(torch.rand(3, generator=state.rng), torch.rand(3, generator=solution.state.rng))
