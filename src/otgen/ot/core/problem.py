"""The interface of a transport problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

import torch
from torch import Tensor


class Problem(ABC):
    """A transport problem, independent of the solver."""

    @property
    @abstractmethod
    def reference(self) -> Tensor:
        """A tensor whose dtype and device are the problem's."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the problem's tensors."""
        return self.reference.dtype

    @property
    def device(self) -> torch.device:
        """The device of the problem's tensors."""
        return self.reference.device

    def detached(self) -> Self:
        """The same problem without a graph; by default this one, for problems that have none."""
        return self

    def resolved(self) -> Self:
        """The same problem with its relative settings replaced by numbers, and its input checked as far as possible."""
        return self

    def conditioned(self, tol: float) -> Self:
        """A resolved problem in the units and the precision in which it is solved to an accuracy of ``tol``."""
        return self

    def finer(self) -> Self | None:
        """This problem in a finer arithmetic, in the same units, for a solve that roundoff keeps from its tolerance.

        None if there is none.
        """
        return None

    def with_settings_of(self, resolved: Self) -> Self:
        """This problem, with its graph, under the settings of the resolved one."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        # A graph can neither be pickled nor copied deeply.
        return vars(self.detached())

    def __copy__(self) -> Self:
        # A copy of the object alone keeps the graph.
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin


class Sampler(Protocol):
    """A law that can be sampled; every source of `otgen.data` is one."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` samples, ``(n, ...)``, drawn with ``rng``; the problem flattens them to ``(n, d)``."""
