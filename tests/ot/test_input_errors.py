"""What is refused, with a message that helps; and what odd but valid input gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import entries
from cases.checks import crossed, differentiated, refused
from cases.components import COSTS, TRANSLATION_INVARIANT, name
from cases.errors import input_error
from cases.random_problems import cloud, weights
from cases.semi_discrete import Unit
from otgen.errors import OtgenError
from otgen.ot import (
    KL,
    AtomPotentials,
    Continuous,
    Cosine,
    Cost,
    Discrete,
    GridW1,
    NoReg,
    OTLoss,
    PNorm,
    Potentials,
    Quadratic,
    SamplesLoss,
    SemiDiscrete,
    SinkhornDivergence,
    histogram,
    solve,
)
from otgen.ot.core import checks

LOSSES: tuple[Any, ...] = (OTLoss, SinkhornDivergence)
every_loss = pytest.mark.parametrize("make", LOSSES)
REGS = [KL(eps=1.0), Quadratic(eps=1.0), NoReg()]
every_loss_and_reg = crossed(every_loss, pytest.mark.parametrize("reg", REGS, ids=lambda reg: type(reg).__name__))
X, Y = cloud(4, 2, 1), cloud(3, 2, 2)
A, B = weights(4, 3), weights(3, 4)
X2, Y2 = X.expand(2, 4, 2), Y.expand(2, 3, 2)


def having(tensor: Tensor, value: float, *index: int) -> Tensor:
    changed = tensor.clone()
    changed[index] = value
    return changed


NAN, INF = float("nan"), float("inf")
# Arguments of a loss, and what the message says: what is wrong, what was received, what to do.
BAD: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "NaN in x": ((having(X, NAN, 2, 1), Y), ("x holds 1 value", "NaN or infinite", "(2, 1)", "clean")),
    "inf in y": ((X, having(Y, INF, 0, 1)), ("y holds 1 value", "NaN or infinite", "(0, 1)", "clean")),
    "both infinities": ((X, having(having(Y, INF, 0, 1), -INF, 1, 1)), ("y holds 2 value", "(0, 1)", "clean")),
    "empty x": ((X[:0], Y), ("x is empty", "(0, 2)", "at least one point")),
    "empty y": ((X, Y[:0]), ("y is empty", "(0, 2)", "at least one point")),
    "no coordinates": ((X[:, :0], Y[:, :0]), ("x is empty", "(4, 0)")),
    "empty batch": ((X.expand(0, 4, 2), Y.expand(0, 3, 2)), ("x is empty", "(0, 4, 2)")),
    "vectors": ((X[:, 0], Y[:, 0]), ("x must have 2 or 3 dimensions", "(4,)", "(n, d)")),
    "images": ((torch.zeros(4, 1, 8, 8), torch.zeros(3, 1, 8, 8)), ("2 or 3 dimensions", "(4, 1, 8, 8)", "flatten")),
    "a number": ((X, torch.tensor(1.0)), ("y must have 2 or 3 dimensions", "()")),
    "other d": ((X, cloud(3, 5, 1)), ("x and y do not fit", "(4, 2)", "(3, 5)", "expected (n, d) and (m, d)")),
    "mixed dtypes": ((X, Y.float()), ("x and y", "dtypes", "float32", "float64", "convert")),
    "half and single": ((X.bfloat16(), Y), ("x and y", "dtypes", "convert")),
    "integers": ((X.long(), Y.long()), ("x must hold", "floating-point", "int64", ".float()")),
    "booleans": ((X > 0, Y > 0), ("x must hold", "floating-point", "bool", ".float()")),
    "complex": ((X.to(torch.complex64), Y), ("x must hold real", "complex64")),
    "numpy": ((X.numpy(), Y.numpy()), ("x must be a torch.Tensor", "ndarray", "torch.as_tensor")),
    "numpy y": ((X, Y.numpy()), ("y must be a torch.Tensor", "ndarray", "torch.as_tensor")),
    "list": ((X.tolist(), Y.tolist()), ("x must be a torch.Tensor", "list", "torch.as_tensor")),
    "none": ((X, None), ("y must be a torch.Tensor", "NoneType")),
    "mixed batch sizes": ((X2, Y.expand(3, 3, 2)), ("do not fit", "(2, 4, 2)", "(3, 3, 2)", "(B, n, d)")),
    "batch and none": ((X2, Y), ("do not fit", "(2, 4, 2)", "(3, 2)", "(B, n, d)")),
    "negative weight": ((X, Y, torch.tensor([0.5, 0.7, -0.2, 0.0]).double()), ("a has negative", "-0.2", "masses")),
    "negative b": ((X, Y, A, torch.tensor([1.2, -0.1, -0.1]).double()), ("b has negative", "-0.1", "masses")),
    "sum 4": ((X, Y, torch.ones(4).double()), ("a sums to 4", "not to 1", "divide it by its sum")),
    "sum 0.99": ((X, Y, A, 0.99 * B), ("b sums to 0.99", "not to 1", "divide")),
    "NaN weight": ((X, Y, having(A, NAN, 1)), ("a holds 1 value", "NaN", "(1,)", "clean")),
    "infinite weight": ((X, Y, A, having(B, INF, 2)), ("b holds 1 value", "infinite", "(2,)", "clean")),
    "short weights": ((X, Y, A[:3] / A[:3].sum()), ("a has shape (3,)", "expected (4,)", "one weight a point")),
    "swapped weights": ((X, Y, B, A), ("a has shape (3,)", "expected (4,)", "one weight a point")),
    "column of weights": ((X, Y, A[:, None]), ("a has shape (4, 1)", "expected (4,)")),
    "no mass": ((X, Y, torch.zeros(4).double()), ("a sums to 0", "not to 1")),
    "no weights": ((X, Y, A[:0]), ("a is empty", "(0,)")),
    "integer weights": ((X, Y, torch.tensor([1, 0, 0, 0])), ("a must hold", "floating-point", "int64")),
    "numpy weights": ((X, Y, A.numpy()), ("a must be a torch.Tensor", "ndarray")),
    "weights of another batch": ((X2, Y2, A.expand(3, 4)), ("a has shape (3, 4)", "expected (2, 4)")),
    "a bad sum in a batch": ((X2, Y2, torch.stack([A, A / 2])), ("a sums to", "not to 1", "divide")),
}


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_words(make: Any, args: tuple[Any, ...], words: tuple[str, ...]) -> None:
    message = input_error(None, make(reg=KL(eps=1.0), tol=0, max_steps=5), *args)
    assert all(word in message for word in words), message
    assert re.search(r"\n|0x[0-9a-f]{6}|Traceback|aten::", message) is None, "names an internal of torch or Python"
    assert len(message) < 250


def test_input_errors_are_value_errors_of_the_library() -> None:
    with pytest.raises(ValueError, match="empty") as caught:
        Discrete(X[:0], Y)
    assert isinstance(caught.value, OtgenError)


MATRICES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "NaN": (having(torch.ones(2, 3), NAN, 1, 2), ("C holds 1 value", "NaN", "(1, 2)", "inf for a pair")),
    "minus infinity": (having(torch.ones(2, 3), -INF, 0, 0), ("C holds 1 value", "minus infinity", "(0, 0)")),
    "inf and NaN": (having(having(torch.ones(2, 3), INF, 0, 0), NAN, 0, 1), ("C holds 1 value", "NaN", "(0, 1)")),
    "empty": (torch.ones(2, 0), ("C is empty", "(2, 0)")),
    "vector": (torch.ones(3), ("C must have 2 or 3 dimensions", "(3,)")),
    "integers": (torch.ones(2, 3, dtype=torch.int32), ("C must hold", "int32", ".float()")),
    "numpy": (np.ones((2, 3)), ("C must be a torch.Tensor", "ndarray", "torch.as_tensor")),
}


@pytest.mark.parametrize(("costs", "words"), MATRICES.values(), ids=MATRICES)
def test_bad_cost_matrix_is_refused_in_words(costs: Any, words: tuple[str, ...]) -> None:
    message = input_error(None, Discrete.from_matrix, costs)
    assert all(word in message for word in words), message


def test_a_relative_weight_in_the_command_lines_words_is_told_its_own_in_python() -> None:
    refused(r"KL needs a number for eps.*got the text '0\.1\*mean'.*eps=Relative\(0\.05\)", KL, eps="0.1*mean")


@pytest.mark.parametrize("power", [0.0, -1.0, NAN])
def test_a_power_that_is_none_is_refused(power: float) -> None:
    refused(f"PNorm needs a power p > 0, got p={power}", PNorm, p=power)


def test_a_problem_of_a_matrix_has_no_points() -> None:
    refused("given by its cost matrix; pass points", Discrete.from_matrix(torch.ones(2, 3)).sides)
    refused(r"no batch.*\(2, 3\)", Discrete.from_matrix(torch.ones(2, 3)).__getitem__, 0)


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("reg", [KL(), Quadratic(), NoReg()], ids=lambda reg: type(reg).__name__)
def test_a_cost_that_overflows_is_refused(make: Any, reg: Any) -> None:
    x, y = torch.tensor([[0.0, 0.0], [1e20, 1.0]]), torch.tensor([[0.0, 1.0], [-1e20, 3.0]])
    loss = make(reg=reg, tol=0, max_steps=5)
    refused(r"cost matrix overflows torch\.float32.*too far apart.*rescale.*float64", loss, x, y)
    # The same in float64 is a number.
    assert bool(torch.isfinite(loss(x.double(), y.double())))


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reg", [KL(eps=1.0), Quadratic(eps=1.0), NoReg()], ids=lambda reg: type(reg).__name__)
def test_half_precision_is_lifted(make: Any, dtype: torch.dtype, reg: Any) -> None:
    points, loss = [t.to(dtype) for t in (X, Y)], make(reg=reg, tol=0, max_steps=30)
    value, *gradients = differentiated(loss, *points)
    assert [t.dtype for t in (value, *gradients)] == [torch.float32, dtype, dtype]
    # It is the float32 loss of the rounded points, nothing coarser.
    single, *expected = differentiated(loss, *(t.float() for t in points))
    assert value.item() == single.item()
    for half, full in zip(gradients, expected, strict=True):
        assert torch.equal(half, full.to(dtype))
        assert full.abs().max().item() > 1e-3


def test_weights_may_have_another_precision() -> None:
    exact = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    loss = OTLoss(reg=KL(eps=1.0), tol=0, max_steps=30)
    expected = loss(X, Y, exact, B).item()
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        value, gradient = differentiated(lambda weight: loss(X, Y, weight, B), exact.to(dtype))
        assert (value.item(), value.dtype, gradient.dtype) == (expected, torch.float64, dtype)


def test_weights_a_rounding_off_are_normalised() -> None:
    loss = OTLoss(reg=KL(eps=1.0), tol=0, max_steps=30)
    assert loss(X, Y, A * (1 + 5e-5), B).item() == pytest.approx(loss(X, Y, A, B).item(), rel=1e-12)


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("cost", TRANSLATION_INVARIANT, ids=name)
@pytest.mark.parametrize("d", [2, 20])
@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning")
def test_translation_leaves_the_value(make: Any, cost: Cost, d: int) -> None:
    """1e4 away, float32 coordinates keep three digits after the point; they are moved on that grid."""
    step = 2.0**-10
    x, y = ((t / step).round().mul(step).float() for t in (cloud(12, d, 1), cloud(9, d, 2) + 1))
    moved = x + 1e4, y + 1e4
    assert torch.equal((moved[0] - 1e4), x)
    loss = make(cost=cost, reg=KL(eps=1.0), tol=0, max_steps=100)
    value = loss(x, y).item()
    assert loss(*moved).item() == pytest.approx(value, rel=1e-3)
    (_, expected), (_, gradient) = (differentiated(lambda p, q=q: loss(p, q), p) for p, q in ((x, y), moved))
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-3 * expected.abs().max().item())


def strided(tensor: Tensor) -> Tensor:
    """The same values, every other entry of a larger memory, dimensions reversed."""
    larger = torch.full([2 * size for size in reversed(tensor.shape)], NAN, dtype=tensor.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in tensor.shape)].permute(*reversed(range(tensor.ndim)))
    view.copy_(tensor)
    assert not view.is_contiguous()
    return view


@every_loss_and_reg
def test_non_contiguous_input_works(make: Any, reg: Any) -> None:
    plain = [t.clone().requires_grad_() for t in (X, Y, A, B)]
    odd = [strided(t).requires_grad_() for t in (X, Y, A, B)]
    loss = make(reg=reg, tol=0, max_steps=30)
    value, other = loss(*plain), loss(*odd)
    torch.testing.assert_close(other, value, rtol=1e-12, atol=1e-14)
    for one, two in zip(torch.autograd.grad(value, plain), torch.autograd.grad(other, odd), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-11)


@every_loss_and_reg
def test_expanded_input_works(make: Any, reg: Any) -> None:
    loss, rest = make(reg=reg, tol=0, max_steps=30), (Y.expand(3, 3, 2), A.expand(3, 4), B.expand(3, 3))
    single, alone = differentiated(lambda x: loss(x, Y, A, B), X)
    batch, together = differentiated(lambda x: loss(x.expand(3, 4, 2), *rest), X)
    torch.testing.assert_close(batch, single.expand(3), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(together, 3 * alone, rtol=1e-9, atol=1e-11)
    # All points one point in memory.
    point = loss(X[:1].expand(4, 2), Y, A, B)
    torch.testing.assert_close(point, loss(X[:1].repeat(4, 1), Y, A, B), rtol=1e-12, atol=1e-14)


@every_loss_and_reg
@pytest.mark.parametrize("cost", COSTS, ids=name)
@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning")
def test_input_stays_unmodified(make: Any, reg: Any, cost: Cost) -> None:
    tensors = [t.clone().requires_grad_() for t in (X, Y, A, B)]
    versions = [t._version for t in tensors]
    make(cost=cost, reg=reg, tol=0, max_steps=30)(*tensors).backward()
    for tensor, before, version in zip(tensors, (X, Y, A, B), versions, strict=True):
        assert torch.equal(tensor, before)
        assert tensor._version == version


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_read_only_memory_works(make: Any, tmp_path: Any) -> None:
    """Points in memory that may not be written, as of a mapped file: a write would end the process."""
    np.save(tmp_path / "x.npy", X.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="r"))
    array = Y.numpy().copy()
    array.setflags(write=False)
    loss = make(reg=KL(eps=1.0), tol=0, max_steps=30)
    value = loss(mapped, torch.from_numpy(array), A, B)
    torch.testing.assert_close(value, loss(X, Y, A, B), rtol=1e-13, atol=0)
    assert np.array_equal(array, Y.numpy())


def test_cosine_at_the_origin_is_finite() -> None:
    loss = OTLoss(cost=Cosine(), reg=KL(eps=1.0), tol=0, max_steps=30)
    value, gradient = differentiated(lambda x: loss(x, Y), having(X, 0.0, 0))
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(gradient).all())


class Labelled(Tensor):
    """A subclass that is only a tensor with a name, as libraries of images have."""


class Wrapped(Tensor):
    """A subclass whose numbers are elsewhere, as those of sharded or masked tensors."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapped:
        made: Wrapped = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)  # type: ignore[attr-defined]
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{function} of a wrapped tensor")


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor.float(), 0.01, 0, torch.qint8)


ODD: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sparse": (lambda t: t.to_sparse(), r"must be a dense tensor, got layout torch\.sparse_coo; call \.to_dense\(\)"),
    "compressed": (lambda t: t.reshape(-1, t.shape[-1]).to_sparse_csr(), r"dense tensor, got layout torch\.sparse_csr"),
    "meta": (lambda t: t.to("meta"), "is on the meta device.*shapes but no numbers; pass"),
    "quantised": (quantised, r"real floating-point numbers, got torch\.qint8; call \.dequantize\(\)"),
    "complex": (lambda t: t.to(torch.complex64), "got torch.complex64; take its real part"),
    "integers": (lambda t: t.long(), r"got torch\.int64; call \.float\(\)"),
    "bytes": (lambda t: t.abs().to(torch.uint8), r"got torch\.uint8; call \.float\(\)"),
    "nested": (lambda t: torch.nested.nested_tensor([t, t]), "is a nested tensor.*points of weight 0"),
    "jagged": (lambda t: torch.nested.nested_tensor([t, t], layout=torch.jagged), "is a nested tensor.*weight 0"),
    "wrapped": (Wrapped, "must be an ordinary torch.Tensor, got a Wrapped.*pass the tensor of its numbers"),
    "uninitialised": (lambda t: torch.nn.UninitializedParameter(), "got a UninitializedParameter"),
    "NumPy's": (lambda t: t.numpy(), r"must be a torch\.Tensor, got ndarray"),
}
# Everywhere where tensors come in, by the name in the message.
C = SQUARE = cloud(4, 4, 7).square()
MASSES = torch.full((4, 4), 1 / 16, dtype=torch.float64)
SEMI = SemiDiscrete(Unit((2,)), Y, reg=KL(eps=1.0))
QUICK: dict[str, Any] = {"max_steps": 2, "on_unconverged": "ignore"}


class Drawing:
    """A law whose samples are what it is told."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        self.change = change

    def sample(self, n: int, rng: torch.Generator) -> Any:
        return self.change(torch.rand(n, 2, generator=rng, dtype=torch.float64))


def potentials(f: Any, g: Any) -> Potentials:
    return Potentials(f, g)


PLACES: dict[str, Callable[[Callable[[Tensor], Any]], object]] = {
    "x": lambda odd: OTLoss(reg=KL(eps=1.0))(odd(X), Y),
    "y": lambda odd: SinkhornDivergence(reg=KL(eps=1.0))(X, odd(Y)),
    "a": lambda odd: Discrete(X, Y, odd(A)),
    "b": lambda odd: Discrete(X, Y, None, odd(B)),
    "C": lambda odd: Discrete.from_matrix(odd(C)),
    "c": lambda odd: GridW1(odd(SQUARE - SQUARE.mean()), 1.0),
    "mu": lambda odd: GridW1.between(odd(MASSES), MASSES, 1.0),
    "nu": lambda odd: GridW1.between(MASSES, odd(MASSES), 1.0),
    "points": lambda odd: histogram(odd(X), (8, 8), 1.0, low=-4.0),
    "y ": lambda odd: SemiDiscrete(Unit((2,)), odd(Y)),
    "b ": lambda odd: SemiDiscrete(Unit((2,)), Y, odd(B)),
    "the source's sample": lambda odd: solve(SemiDiscrete(Drawing(odd), Y)),
    "source": lambda odd: solve(Continuous(Drawing(odd), Unit((2,)))),
    "x ": lambda odd: entries.semi_discrete().loss(odd(X)),
    "x  ": lambda odd: entries.continuous().loss(odd(X), Y),
    "y  ": lambda odd: entries.continuous().map(X, odd(Y)),
    "points ": lambda odd: entries.grid().critic_at(odd(X)),
    "x   ": lambda odd: SamplesLoss()(odd(X), Y),
    "a ": lambda odd: SamplesLoss()(odd(A), X, B, Y),
}
# Warm starts may be of any dtype.
STARTS: dict[str, Callable[[Callable[[Tensor], Any]], object]] = {
    "f": lambda odd: solve(Discrete(X, Y, reg=KL(eps=1.0)), warm_start=potentials(odd(A), B)),
    "g": lambda odd: solve(Discrete(X, Y, reg=KL(eps=1.0)), warm_start=potentials(A, odd(B))),
    "g ": lambda odd: solve(SEMI, max_steps=1, warm_start=AtomPotentials(SEMI, odd(B))),
    "critic": lambda odd: solve(
        entries.grid().problem,
        **QUICK,
        warm_start=replace(entries.grid().memory, critic=odd(entries.grid().memory.critic)),
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_tensors_of_no_ordinary_kind_are_refused_in_our_words(place: str, kind: str) -> None:
    make, words = ODD[kind]
    if kind == "compressed" and place.strip() in ("a", "b"):
        return
    # Some places say what they need of samples before what is wrong with these.
    said = f"^(samples of )?{place.strip()}.*({words}|must be a tensor of|must return a tensor of)"
    message = input_error(said, PLACES[place], make)
    assert re.search(r"aten::|storage|Traceback", message) is None
    assert len(message) < 250


@pytest.mark.parametrize("place", STARTS)
@pytest.mark.parametrize("kind", ["sparse", "meta", "wrapped", "NumPy's"])
def test_odd_warm_starts_are_refused(place: str, kind: str) -> None:
    make, words = ODD[kind]
    input_error(f"warm start's {place.strip()} .*{words}", STARTS[place], make)


@every_loss_and_reg
def test_a_subclass_that_is_only_a_tensor_is_taken_as_one(make: Any, reg: Any) -> None:
    loss = make(reg=reg, tol=0, max_steps=30)
    plain = [t.clone().requires_grad_() for t in (X, Y, A, B)]
    labelled = [t.as_subclass(Labelled) for t in plain]  # type: ignore[arg-type]
    value, other = loss(*plain), loss(*labelled)
    assert type(other) is Tensor
    assert torch.equal(other, value)
    for one, two in zip(torch.autograd.grad(other, plain), torch.autograd.grad(value, plain), strict=True):
        assert torch.equal(one, two)
    parameter = torch.nn.Parameter(X.clone())
    assert torch.equal(loss(parameter, Y, A, B), value)


HALVES = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("count", [1, 3, 300, 5000])
@pytest.mark.parametrize("points", [torch.float32, torch.float64])
def test_weights_in_half_precision_are_normalised_in_float64(
    dtype: torch.dtype, count: int, points: torch.dtype
) -> None:
    """Weights that were divided by their sum, as the message advises, are weights; so are those of a softmax."""
    x = cloud(count, 2, 1, points)
    scores = torch.randn(count, generator=torch.Generator().manual_seed(3))
    for half in (
        torch.softmax(scores, 0).to(dtype),
        torch.softmax(scores.to(dtype), 0),
        torch.full((count,), 1 / count),
    ):
        half = half.to(dtype)
        for given in (half, half / half.sum(), half / half.cumsum(0)[-1].to(dtype) if count <= 3 else half):
            weight = Discrete(x, x, given).a
            exact = given.double() / given.double().sum()
            assert weight.dtype == points
            assert torch.equal(weight, exact.to(points))
            assert weight.double().sum().item() == pytest.approx(1, abs=4 * torch.finfo(points).eps * count**0.5)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_excuses_rounding_only(dtype: torch.dtype) -> None:
    message = r"a sums to 0\.9.*, not to 1; divide it by its sum"
    refused(message, Discrete, X, Y, 0.95 * torch.full((4,), 0.25, dtype=dtype))
    refused("a sums to 0, not to 1", Discrete, X, Y, torch.zeros(4, dtype=dtype))
    # What is given in single precision is held to single precision, whatever the points are.
    refused(message, Discrete, X.to(dtype), Y.to(dtype), 0.999 * torch.full((4,), 0.25))
    refused(message, Discrete, X, Y, 0.999 * torch.full((4,), 0.25))
    # However many there are, the sum is never so small that a division by it means nothing.
    assert checks._sum_tolerance(dtype, 10**9) == pytest.approx(0.1 if dtype is torch.float16 else 0.016, rel=0.05)


def test_single_precision_weights_of_double_precision_points() -> None:
    single = torch.softmax(torch.randn(5000, generator=torch.Generator().manual_seed(1)), 0)
    x = cloud(5000, 2, 1)
    assert torch.equal(Discrete(x, x, single).a, single.double() / single.double().sum())
    # And the other way round: the sum is taken before the weights are rounded.
    double = single.double() / single.double().sum()
    assert torch.equal(Discrete(x.float(), x.float(), double).a, (double / double.sum()).float())


@pytest.mark.parametrize("dtype", HALVES)
def test_masses_on_a_grid_in_half_precision(dtype: torch.dtype) -> None:
    mu, nu = (torch.rand(8, 8, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    mu, nu = ((m / m.sum()).to(dtype) for m in (mu, nu))
    problem = GridW1.between(mu, nu, 1.0)
    exact = mu.double() / mu.double().sum() - nu.double() / nu.double().sum()
    torch.testing.assert_close(problem.c.double(), exact, rtol=0, atol=1e-7)
    balanced = GridW1((mu - nu).to(dtype), 1.0).balanced
    assert abs(balanced.sum().item()) < 1e-12
    refused("c sums to", GridW1, mu - nu + 0.01, 1.0)


def test_the_worst_sum_of_a_batch_is_shown() -> None:
    good, bad = torch.tensor([0.5, 0.5, 0.0, 0.0]).double(), torch.tensor([0.5, 0.0, 0.0, 0.0]).double()
    refused("a sums to 0.5, not to 1", Discrete, X2, Y2, torch.stack([good, bad]))


def test_devices_are_compared_in_words() -> None:
    """Without a second device here: with tensors that hold no numbers."""
    there = torch.zeros(3, device="meta")
    refused(r"b is on meta, the points on cpu; move it with \.to\(device\)", checks.beside, "b", there, "the points", X)
    refused(r"x and y are on different devices, \['cpu', 'meta'\]; move", checks.compatible, "x and y", X, there)
