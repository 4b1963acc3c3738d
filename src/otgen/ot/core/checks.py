"""All checks of arguments of `otgen.ot`, in one place."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from otgen.errors import InputError

# Weights whose sum differs from 1 by more than this are an error in the input, not roundoff.
WEIGHT_TOLERANCE = 1e-4
# The same for half precision, whatever its rounding and the number of weights.
_MOST_TOLERANCE = 0.1
# Characters of a refused value that a message shows.
_SHOWN = 80
# Up to this many numbers NumPy's calls, which cost less, take less time than PyTorch's.
FEW_NUMBERS = 1 << 14
_ORDINARY = frozenset({Tensor, torch.nn.Parameter})


def tensor(name: str, value: Any) -> Tensor:
    """``value`` as an ordinary tensor: of torch's own class, strided, with numbers in it, under no transform.

    Raises:
        InputError: on anything else, since the solvers would fail on it, or lose its derivative.
    """
    if is_ordinary(value):
        ordinary: Tensor = value
        return ordinary
    return _made_ordinary(name, value)


def is_ordinary(value: Any) -> bool:
    """Whether ``value`` is certainly a tensor as :func:`tensor` gives it."""
    return (
        type(value) in _ORDINARY
        and value.layout is torch.strided
        and (value.is_cpu or value.is_cuda)
        and not value.is_nested
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


def untransformed(name: str) -> None:
    """Check that no transform of torch.func is active: within one, even results of constants are not ordinary."""
    if torch._C._are_functorch_transforms_active():
        raise InputError(
            f"{name} is inside a transform of torch.func (grad, jvp, vmap, ...), which solvers cannot follow; take "
            "torch.autograd.grad, or torch.autograd.functional.jacobian, and a batch (B, n, d) instead of vmap"
        )


def _made_ordinary(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name} must be a torch.Tensor, got {type(value).__name__}; convert it with torch.as_tensor(...)"
        )
    untransformed(name)
    kind = type(value)
    wraps = kind.__torch_dispatch__ is not Tensor.__torch_dispatch__
    if value.is_nested:
        raise InputError(
            f"{name} is a nested tensor, and the clouds of a batch have one size; pad the smaller ones with points of "
            "weight 0, or pass them one by one"
        )
    if wraps or isinstance(value, (UninitializedBuffer, UninitializedParameter)):
        raise InputError(
            f"{name} must be an ordinary torch.Tensor, got a {kind.__name__}, which has no numbers of its own; pass "
            "the tensor of its numbers"
        )
    if value.layout is not torch.strided:
        raise InputError(f"{name} must be a dense tensor, got layout {value.layout}; call .to_dense() on it")
    if value.is_meta:
        raise InputError(f"{name} is on the meta device, where tensors have shapes but no numbers; pass its numbers")
    if value.is_mps:
        raise InputError(f"{name} is on mps, which has no float64, and bounds need it; move it with .cpu()")
    if forward_ad.unpack_dual(value).tangent is not None:  # type: ignore[no-untyped-call]
        raise InputError(
            f"{name} has a forward-mode tangent, which solvers would lose; take torch.autograd.grad and multiply it by "
            "the tangent, or detach it"
        )
    # A copy, as whoever gets another object than it gave takes that for its own.
    return value if kind in _ORDINARY else value.as_subclass(Tensor).clone()


def lifted(name: str, value: Any, dims: tuple[int, ...]) -> Tensor:
    """``value`` as a float32 or float64 tensor of one of ``dims`` dimensions, not empty, finite."""
    checked = _floating(name, value, dims)
    # A sum is finite only if all its terms are; the slow search runs on failure alone.
    if not math.isfinite(checked.detach().sum()):
        bad = (~torch.isfinite(checked)).nonzero()
        if len(bad):
            raise InputError(
                f"{name} holds {len(bad)} value(s) that are NaN or infinite, the first at index "
                f"{tuple(bad[0].tolist())}; clean the data first"
            )
    return checked


def costs(name: str, value: Any, dims: tuple[int, ...]) -> tuple[Tensor, bool]:
    """A cost matrix as :func:`owned` gives it, in which inf is allowed, and whether it occurs."""
    checked = _floating(name, value, dims)
    forbids = not math.isfinite(checked.detach().sum()) and bool((checked.isfinite().logical_not()).any())
    if forbids:
        real_costs(name, checked)
    return (checked.clone() if checked.data_ptr() == value.data_ptr() else checked), forbids


def real_costs(name: str, costs: Tensor) -> None:
    """Check that every cost is a number, or inf for a pair that must carry no mass."""
    bad = (costs.isnan() | costs.isneginf()).nonzero()
    if len(bad):
        raise InputError(
            f"{name} holds {len(bad)} value(s) that are NaN or minus infinity, the first at index "
            f"{tuple(bad[0].tolist())}; a cost is a number, or inf for a pair that must carry no mass"
        )


def _floating(name: str, value: Any, dims: tuple[int, ...]) -> Tensor:
    value = tensor(name, value)
    if not value.dtype.is_floating_point:
        remedy = "take its real part, or torch.view_as_real of it" if value.is_complex() else "call .float() on it"
        remedy = "call .dequantize() on it" if value.is_quantized else remedy
        raise InputError(f"{name} must hold real floating-point numbers, got {value.dtype}; {remedy}")
    if value.ndim not in dims:
        raise InputError(
            f"{name} must have {' or '.join(map(str, dims))} dimensions, got shape {tuple(value.shape)}; "
            "flatten images to (n, d) first"
        )
    if value.numel() == 0:
        raise InputError(f"{name} is empty: shape {tuple(value.shape)}; at least one point is needed")
    checked: Tensor = value if value.dtype in (torch.float32, torch.float64) else value.float()
    return checked


def in_order(x: Any, y: Any, a: Any, b: Any) -> None:
    """Refuse ``(a, x, b, y)``, the order of GeomLoss, where ``(x, y, a, b)`` is wanted."""
    if a is None or b is None:
        return
    given = (x, y, a, b)
    # Nested tensors and those without numbers have no shape to look at: they are refused later.
    if not all(isinstance(part, Tensor) for part in given) or any(p.is_nested or p.is_meta for p in given):
        return
    if any(isinstance(part, (UninitializedBuffer, UninitializedParameter)) for part in given):
        return
    shapes = [tuple(part.shape) for part in given]
    masses, points = shapes[::2], shapes[1::2]
    fits = (len(p) > 1 and p != m and p[:-1] in (m, m[:-1]) for m, p in zip(masses, points, strict=True))
    if all(fits):
        raise InputError(
            f"got (a, x, b, y), weights before points, of shapes {', '.join(map(str, shapes))}; the order here is "
            "(x, y, a, b): points first"
        )


def compatible(names: str, *tensors: Tensor) -> None:
    """Check that the tensors have the same device and dtype."""
    first = tensors[0]
    if all(t.device == first.device and t.dtype == first.dtype for t in tensors[1:]):
        return
    devices = {str(t.device) for t in tensors}
    if len(devices) > 1:
        raise InputError(f"{names} are on different devices, {sorted(devices)}; move them to one with .to(device)")
    dtypes = {str(t.dtype) for t in tensors}
    if len(dtypes) > 1:
        raise InputError(f"{names} have different dtypes, {sorted(dtypes)}; convert one of them")


def beside(name: str, value: Tensor, what: str, other: Tensor) -> None:
    """Check that a tensor is on the device of another one."""
    if value.device != other.device:
        raise InputError(f"{name} is on {value.device}, {what} on {other.device}; move it with .to(device)")


def owned(name: str, value: Any, dims: tuple[int, ...]) -> Tensor:
    """:func:`lifted`, with its graph, in memory that the caller does not share: what is lazy may read it later."""
    checked = lifted(name, value, dims)
    return checked.clone() if checked.data_ptr() == value.data_ptr() else checked


def weights(name: str, value: Tensor | None, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Weights of a cloud, checked and normalised to sum 1; uniform if None.

    Args:
        name: for messages.
        value: ``(n,)`` or the full ``shape``, or None.
        like: gives dtype and device.
        shape: ``(..., n)``.
    """
    if value is None:
        return like.new_full(shape, 1.0 / shape[-1])
    given, value = value, owned(name, value, (1, 2))
    beside(name, value, "the points", like)
    if given.dtype != like.dtype:
        # So that the sum is that of the weights as given, whatever the points are held in.
        value = value.double()
    if value.shape != shape and value.shape != shape[-1:]:
        raise InputError(f"{name} has shape {tuple(value.shape)}, expected {shape}: one weight a point")
    if bool((value.detach() < 0).any()):
        raise InputError(f"{name} has negative weights, the least is {value.min().item():.3g}; weights are masses")
    total = value.sum(-1, keepdim=True)
    off = (total.detach() - 1).abs()
    if off.max().item() > _sum_tolerance(given.dtype, shape[-1]):
        worst = total.flatten()[off.argmax()].item()
        raise InputError(f"{name} sums to {worst:.6g}, not to 1; divide it by its sum")
    # With a graph, so that the gradient with respect to the weights is the one along sum(delta) = 0.
    return (value / total).to(like.dtype).expand(shape)


def batch_of_weights(sides: Iterable[Any], sizes: Iterable[int]) -> int | None:
    """The number of problems that weights ``(B, n)`` are for, n being their side's size; None if no side has such."""
    for value, size in zip(sides, sizes, strict=True):
        if isinstance(value, Tensor) and not value.is_nested and value.ndim == 2 and value.shape[-1] == size:
            return len(value)
    return None


def masses(given: Tensor | None, weights: Tensor) -> Tensor:
    """Weights as they were given, owned and without a graph; the uniform ones themselves if none were given."""
    if given is None:
        return weights
    return tensor("weights", given).detach().double().expand(weights.shape).clone()


def _sum_tolerance(dtype: torch.dtype, count: int) -> float:
    """How far from 1 the sum of ``count`` weights may be if they, and their sum, were rounded to ``dtype``."""
    if dtype in (torch.float32, torch.float64):
        return WEIGHT_TOLERANCE
    kind = torch.finfo(dtype)
    # A weight and the sum that it is divided by are rounded to half of `eps`, relatively, and a weight below the normal
    # numbers to half of their spacing there; twice that, for sums that are themselves taken in half precision.
    rounding = 2 * kind.eps + count * kind.smallest_normal * kind.eps
    return min(max(WEIGHT_TOLERANCE, rounding), _MOST_TOLERANCE)


def component(name: str, value: Any, kind: type | tuple[type, ...], example: str) -> None:
    """Check that ``value`` is an object of the kind; names of classes are for the command line only."""
    if not isinstance(value, kind):
        kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise InputError(f"{name} must be a {kinds}, such as {example}; got {shown(value)}")


def plain(value: Any) -> float | int | None:
    """A number as Python's own; None for what is no number.

    Numbers are Python's, NumPy's scalars, and arrays and tensors of no dimension. A bool is none, and neither is a
    tensor with a graph, whose derivative would be lost.
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, (Tensor, np.ndarray)):
        if value.ndim > 0 or (isinstance(value, Tensor) and (value.requires_grad or not _readable(value))):
            return None
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _readable(value: Tensor) -> bool:
    try:
        tensor("it", value)
    except InputError:
        return False
    return True


def number(
    value: Any,
    message: str,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = sys.float_info.max,
) -> float:
    """``value`` as a Python number between bounds; the defaults demand that it is finite.

    Args:
        value: what was given.
        message: of the error; its ``{}`` is replaced by the value.
        above: a bound that the number must exceed.
        least: the least number that is allowed.
        below: a bound that the number must stay under.
        most: the largest number that is allowed.
    """
    found = plain(value)
    if found is None or not (least <= found <= most and above < found < below):
        graph = isinstance(value, Tensor) and value.requires_grad
        hint = "; it is a constant here, so no gradient can reach it: pass .item()" if graph else ""
        raise InputError(message.format(shown(value)) + hint)
    return found


def count(name: str, value: Any, least: int) -> int:
    """``value`` as a whole Python number of at least ``least``."""
    found = plain(value)
    if not isinstance(found, int) or found < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {shown(value)}")
    return found


def flag(name: str, value: Any) -> bool:
    """``value`` as a Python bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def settle(component: Any, **fields: Any) -> None:
    """Set fields of a frozen dataclass to what checking has made of them; for its ``__post_init__`` only."""
    for name, value in fields.items():
        object.__setattr__(component, name, value)


def shown(value: Any) -> str:
    """A refused value for a message: one line, not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def choice(name: str, kind: type[ChoiceT], value: Any) -> ChoiceT:
    """A member of the enum ``kind``, which may be given by its value."""
    try:
        return kind(value)
    except ValueError:
        raise InputError(f"{name} must be one of {[member.value for member in kind]}, got {value!r}") from None


def options(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Check that every option given by name is one that ``owner`` has."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"{owner} has no option {sorted(unknown)}; its options are {', '.join(known)}")


def generator(rng: torch.Generator | None) -> torch.Generator:
    """The caller's generator, or one seeded with 0."""
    if rng is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(rng, torch.Generator):
        raise InputError(f"rng must be a torch.Generator, got {shown(rng)}; torch.Generator().manual_seed(0) makes one")
    return rng


def extremes(costs: Tensor) -> tuple[float, float]:
    """The least and the largest cost; raises InputError if one overflows the dtype."""
    if costs.is_cpu and costs.numel() <= FEW_NUMBERS:
        array = costs.numpy()
        low, high = float(array.min()), float(array.max())
    else:
        low, high = (float(extreme) for extreme in costs.aminmax())
    # NaN is passed on by either, and fails the comparison.
    if not (-math.inf < low and high < math.inf):
        raise InputError(
            f"the cost matrix overflows {costs.dtype}: the points are too far apart for it; rescale them or use float64"
        )
    return low, high
