"""What is asked of a peer, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import ClassVar

from torch import Tensor

from otgen.errors import OtgenError
from otgen.ot import KL, Cost, Regulariser


class Unavailable(OtgenError):
    """A peer that is not installed, or cannot do what is asked; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A problem between two clouds of uniform weights, in this package's convention.

    The value asked for is ``min_pi <pi, C> + eps I(pi)``, the penalty relative to ``a x b``.

    Attributes:
        x: ``(n, d)``, float32 or float64: what the peer shall compute in, if it can.
        y: ``(m, d)``.
        cost: the ground cost.
        reg: with a number for eps.
        tol: error of the marginals to stop at; 0 takes all of ``max_steps``.
        max_steps: the most iterations.
    """

    x: Tensor
    y: Tensor
    cost: Cost
    reg: Regulariser
    tol: float
    max_steps: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A peer's result.

    Attributes:
        value: on the task's convention.
        converged: what the peer says of itself; None where it says nothing.
        residual: L1 error of the marginals that it stopped at; 0 where it is unknown.
        unit: rounding unit of the precision that it computed in.
    """

    value: float
    converged: bool | None
    residual: float = 0.0
    unit: float = 2.0**-52


Call = Callable[[], Answer]


@dataclass(frozen=True)
class Peer(ABC):
    """Another library, or one of its methods.

    Attributes:
        name: in tables.
        package: the distribution that it is installed from.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    def version(self) -> str:
        """The installed version.

        Raises:
            Unavailable: where it is not installed.
        """
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            raise Unavailable(f"not installed (pip install {self.package})") from None

    @abstractmethod
    def prepare(self, task: Task) -> Call:
        """A function that solves the task; its first call may compile.

        Raises:
            Unavailable: where the peer has no such problem.
            ImportError: where it cannot be imported.
        """


def entropic_eps(task: Task) -> float:
    """The weight of a task that must be under KL."""
    if not isinstance(task.reg, KL):
        raise Unavailable(f"no {type(task.reg).__name__}: KL only")
    return task.reg.weight
