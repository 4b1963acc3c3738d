"""What every transport problem has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, Self

import torch
from torch import Tensor


class Problem(ABC):
    """A transport problem: what is to be solved, apart from how."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device that the problem's numbers are on."""

    @abstractmethod
    def detached(self) -> Self:
        """The same problem without a graph."""

    @abstractmethod
    def resolved(self) -> Self:
        """The same problem with numbers where its settings were relative, and its input checked as far as it can be."""

    @abstractmethod
    def with_settings_of(self, resolved: Self) -> Self:
        """This problem, graph included, with the settings that another one was resolved to."""


class Sampler(Protocol):
    """A law that can be sampled; every source of `otgen.data` is one."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` samples, ``(n, ...)``, drawn through ``rng``; flattened to ``(n, d)`` by the problem."""
