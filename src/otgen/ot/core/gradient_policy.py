"""How the derivative of a value is taken, apart from how the value is found; each kind of problem acts on it."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Gradient(ABC):
    """A way to differentiate the value."""

    # Whether the solver's steps must be recorded.
    unrolls: ClassVar[bool]


@dataclass(frozen=True, kw_only=True)
class Envelope(Gradient):
    """Potentials and plan are held constant (Danskin): exact at the optimum, O(1) memory in the steps.

    ``d value / d c_ij = pi_ij``, and through the cost ``d value / d x_i = sum_j pi_ij d c_ij / d x_i``;
    ``d value / d a_i = f_i - sum_j b_j conjugate(s_ij)``, in the gauge ``sum_i a_i (d value / d a_i) = 0`` when
    it reaches the weights that were given. Not twice differentiable: a second backward raises.
    Away from the optimum the error is bounded by ``Solution.grad_error_bound``.
    """

    unrolls: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Unroll(Gradient):
    """Back-propagation through every step that the solver took: the derivative of what was computed.

    Memory grows with the steps. Meant for a fixed number of them (``tol=0``), as the papers use it.
    """

    unrolls: ClassVar[bool] = True
