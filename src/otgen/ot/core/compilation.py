"""Code that `torch.compile` must leave alone."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which a compiled caller runs as it stands: a graph break, instead of an attempt to trace a solver.

    It does what `torch.compiler.disable` does, but imports the compiler, which takes a second, only if the caller has.
    """
    disabled: Callable[P, R] | None = None

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        nonlocal disabled
        if "torch._dynamo" not in sys.modules:
            return function(*args, **options)
        if disabled is None:
            disabled = cast(Any, torch.compiler.disable)(function)
        return disabled(*args, **options)

    # What marks a function that the compiler must not trace into; a compiler that does not know the mark traces `call`,
    # and stops at the function all the same.
    cast(Any, call)._torchdynamo_disable = True
    return call
