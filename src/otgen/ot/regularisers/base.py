"""Regularisers of the transport plan, by convex duality.

The primal is ``min_pi <pi, C> + eps * sum_ij a_i b_j penalty(m_ij)`` with ``m = d pi / d(a x b)`` the plan's
density. Its dual is ``max_{f,g} <a, f> + <b, g> - sum_ij a_i b_j conjugate(s_ij)``, ``s_ij = f_i + g_j - c_ij``,
and the plan's density is ``density(s)``, the derivative of the conjugate.
Sanjabi et al. 2018, (4)-(6), with f = phi - eps, g = -psi for KL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks


@dataclass(frozen=True)
class Relative:
    """A regularisation weight relative to the mean cost, written ``0.05*mean`` in configurations.

    Resolved once per call, from the detached cost between the two clouds; all terms of a divergence share it.

    Attributes:
        factor: ``eps = factor * sum_ij a_i b_j c_ij``.
    """

    factor: float

    def __post_init__(self) -> None:
        message = "Relative needs a positive, finite factor, got {}; 0.05 is a good start"
        checks.settle(self, factor=checks.number(self.factor, message, above=0))

    def __str__(self) -> str:
        return f"{self.factor!r}*mean"


@dataclass(frozen=True, kw_only=True)
class Regulariser(ABC):
    """How the plan is regularised."""

    @abstractmethod
    def soft_transform(self, z: Tensor, w: Tensor, dim: int) -> Tensor:
        """The potential that maximises the dual, given the other one.

        Args:
            z: the other potential minus the cost, ``g_j - c_ij``; shape ``(..., n, m)``.
            w: weights along ``dim``, broadcasting against ``z``; zero weights are skipped.
            dim: the dimension to reduce, -1 or -2.

        Returns:
            The potential, of the shape of ``z`` without ``dim``.
        """

    @property
    def is_relative(self) -> bool:
        """Whether the weight is relative to a mean cost that is not known yet."""
        return False

    @property
    def eps_graph(self) -> Tensor | None:
        """The weight as a tensor with the caller's graph; None if it is a constant."""
        return None

    def detached(self) -> Self:
        """The same regulariser, its weight a constant."""
        return self

    def resolved(self, mean_cost: float) -> Self:
        """The same regulariser with a number for its weight, given the mean cost."""
        return self

    def scaled(self, factor: float) -> Self:
        """The same regulariser for costs that are multiplied by ``factor``."""
        return self


@dataclass(frozen=True, kw_only=True)
class SmoothRegulariser(Regulariser):
    """A regulariser with a weight ``eps > 0``, whose dual is smooth and whose plan is a function of s.

    Attributes:
        eps: regularisation weight in units of the cost, or :class:`Relative` to the mean cost. It is read once, as a
            number; a tensor of no dimension that requires a gradient gets one, from values of :class:`Discrete`.
    """

    eps: float | Relative | Tensor = Relative(0.05)

    # Whether sum_j b_j conjugate(s_ij) is zero whenever row i of the plan has mass a_i.
    conjugate_vanishes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.eps, str):
            raise InputError(
                f"{type(self).__name__} needs a number for eps or Relative(...), got the text {self.eps!r}; what is "
                "0.05*mean on a command line or in a file is eps=Relative(0.05) in Python"
            )
        if isinstance(self.eps, Tensor):
            self._keep_graph(self.eps)
        if not isinstance(self.eps, Relative):
            message = " needs a positive, finite eps, got eps={}; use NoReg() for unregularised transport"
            checks.settle(self, eps=checks.number(self.eps, type(self).__name__ + message, above=0))

    def _keep_graph(self, eps: Tensor) -> None:
        if eps.ndim > 0:
            raise InputError(
                f"{type(self).__name__} has one eps, got a tensor of shape {tuple(eps.shape)}; for a weight a problem "
                "divide each problem's costs by its weight, take eps=1.0, and multiply the values by the weights"
            )
        if eps.requires_grad:
            # Beside the number, which is what is compared, printed and pickled.
            checks.settle(self, eps=checks.tensor("eps", eps).item(), _eps_graph=eps)

    @property
    @override
    def eps_graph(self) -> Tensor | None:
        return self.__dict__.get("_eps_graph")

    @override
    def detached(self) -> Self:
        return self if self.eps_graph is None else replace(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_eps_graph"}

    @property
    def weight(self) -> float:
        """``eps`` as a number; raises InputError if it is still relative."""
        if isinstance(self.eps, Relative):
            raise InputError(f"eps={self.eps} is relative: solve() resolves it, or call problem.resolved()")
        assert not isinstance(self.eps, Tensor)
        return self.eps

    @property
    @override
    def is_relative(self) -> bool:
        return isinstance(self.eps, Relative)

    @override
    def resolved(self, mean_cost: float) -> Self:
        if not isinstance(self.eps, Relative):
            return self
        # All points coincide: any positive weight gives the same (product) plan.
        return replace(self, eps=self.eps.factor * mean_cost if mean_cost > 0 else self.eps.factor)

    @override
    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.weight * factor)

    def soft_transform_near(self, z: Tensor, w: Tensor, guess: Tensor) -> Tensor:
        """:meth:`soft_transform` along the last dimension; iterative methods may start at ``guess``, ``(..., n)``."""
        return self.soft_transform(z, w, -1)

    def shortened(self, move: Tensor, times: Tensor) -> Tensor:
        """A move of a potential that a model predicts, for the case that it went too far.

        Args:
            move: ``(..., m)``, without its mean.
            times: how often it is to be shortened, an integer that broadcasts against it; 0 leaves it as it is.
        """
        return move / 2**times

    @abstractmethod
    def conjugate(self, s: Tensor) -> Tensor:
        """``eps * penalty^*(s / eps)``, elementwise."""

    @abstractmethod
    def density(self, s: Tensor) -> Tensor:
        """The derivative of :meth:`conjugate`: the plan's density with respect to ``a x b``."""

    @abstractmethod
    def curvature(self, s: Tensor) -> Tensor:
        """The derivative of :meth:`density` (a generalised one at kinks)."""

    @abstractmethod
    def penalty(self, m: Tensor) -> Tensor:
        """The penalty of a density ``m >= 0`` per unit of ``a x b``, without the factor eps."""


def require_constant_eps(reg: Regulariser, kind: str) -> None:
    """Check that no gradient with respect to eps is wanted of a kind of problem that would lose it."""
    if reg.eps_graph is not None:
        raise InputError(
            f"eps requires a gradient, and values of {kind} have none with respect to it; Discrete problems have, or "
            "pass eps.item()"
        )
