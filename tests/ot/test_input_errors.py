"""What is refused, with a message that helps; and what odd but valid input gives."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.checks import crossed, differentiated, refused
from cases.components import COSTS, TRANSLATION_INVARIANT, name
from cases.errors import input_error
from cases.random_problems import cloud, weights
from otgen.errors import OtgenError
from otgen.ot import KL, Cosine, Cost, Discrete, NoReg, OTLoss, PNorm, Quadratic, SinkhornDivergence

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
    "NaN": (having(torch.ones(2, 3), NAN, 1, 2), ("C holds 1 value", "NaN", "(1, 2)", "clean")),
    "infinite": (having(torch.ones(2, 3), INF, 0, 0), ("C holds 1 value", "infinite", "(0, 0)")),
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
