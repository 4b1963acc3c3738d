"""All checks of arguments of `otgen.ot`, in one place."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, TypeVar

import torch
from torch import Tensor

from otgen.errors import InputError

# Weights whose sum differs from 1 by more than this are an error in the input, not roundoff.
WEIGHT_TOLERANCE = 1e-4


def lifted(name: str, value: Any, dims: tuple[int, ...]) -> Tensor:
    """``value`` as a float32 or float64 tensor of one of ``dims`` dimensions, not empty, finite."""
    if not isinstance(value, Tensor):
        raise InputError(
            f"{name} must be a torch.Tensor, got {type(value).__name__}; convert it with torch.as_tensor(...)"
        )
    if not value.dtype.is_floating_point:
        raise InputError(f"{name} must hold real floating-point numbers, got {value.dtype}; call .float() on it")
    if value.ndim not in dims:
        raise InputError(
            f"{name} must have {' or '.join(map(str, dims))} dimensions, got shape {tuple(value.shape)}; "
            "flatten images to (n, d) first"
        )
    if value.numel() == 0:
        raise InputError(f"{name} is empty: shape {tuple(value.shape)}; at least one point is needed")
    checked: Tensor = value if value.dtype in (torch.float32, torch.float64) else value.float()
    # A sum is finite only if all its terms are; the slow search runs on failure alone.
    if not math.isfinite(checked.detach().sum()):
        bad = (~torch.isfinite(checked)).nonzero()
        if len(bad):
            raise InputError(
                f"{name} holds {len(bad)} value(s) that are NaN or infinite, the first at index "
                f"{tuple(bad[0].tolist())}; clean the data first"
            )
    return checked


def compatible(names: str, *tensors: Tensor) -> None:
    """Check that the tensors have the same device and dtype."""
    devices = {str(t.device) for t in tensors}
    if len(devices) > 1:
        raise InputError(f"{names} are on different devices, {sorted(devices)}; move them to one with .to(device)")
    dtypes = {str(t.dtype) for t in tensors}
    if len(dtypes) > 1:
        raise InputError(f"{names} have different dtypes, {sorted(dtypes)}; convert one of them")


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
    value = lifted(name, value, (1, 2))
    if value.device != like.device:
        raise InputError(f"{name} is on {value.device}, the points on {like.device}; move it with .to(device)")
    value = value.to(like.dtype)
    if value.shape != shape and value.shape != shape[-1:]:
        raise InputError(f"{name} has shape {tuple(value.shape)}, expected {shape}: one weight a point")
    if bool((value.detach() < 0).any()):
        raise InputError(f"{name} has negative weights, the least is {value.min().item():.3g}; weights are masses")
    total = value.sum(-1, keepdim=True)
    off = (total.detach() - 1).abs().max().item()
    if off > WEIGHT_TOLERANCE:
        raise InputError(f"{name} sums to {total.flatten()[0].item():.6g}, not to 1; divide it by its sum")
    # With a graph, so that the gradient with respect to the weights is the one along sum(delta) = 0.
    return (value / total).expand(shape)


def component(name: str, value: Any, kind: type | tuple[type, ...], example: str) -> None:
    """Check that ``value`` is an object of the kind; names of classes are for the command line only."""
    if not isinstance(value, kind):
        kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise InputError(f"{name} must be a {kinds}, such as {example}; got {value!r}")


def count(name: str, value: Any, least: int) -> None:
    """Check that ``value`` is a whole number of at least ``least``."""
    if not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")


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
    return torch.Generator().manual_seed(0) if rng is None else rng


def extremes(costs: Tensor) -> tuple[float, float]:
    """The least and the largest cost; raises InputError if one overflows the dtype."""
    low, high = (float(extreme) for extreme in costs.aminmax())
    # NaN is passed on by `aminmax`, and fails the comparison.
    if not (-math.inf < low and high < math.inf):
        raise InputError(
            f"the cost matrix overflows {costs.dtype}: the points are too far apart for it; rescale them or use float64"
        )
    return low, high
