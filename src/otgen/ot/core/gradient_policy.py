"""How a value is differentiated, independently of how it is computed; each kind of problem implements it."""

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
    ``d value / d a_i = f_i - sum_j b_j conjugate(s_ij)``; back-propagated through the normalisation of the given
    weights, it satisfies ``sum_i a_i (d value / d a_i) = 0``. Not twice differentiable: a second backward raises. Away
    from the optimum the error is bounded by ``Solution.grad_error_bound``.
    """

    unrolls: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Unroll(Gradient):
    """Back-propagation through every step that the solver took: the derivative of the computed value.

    Plan and potentials of the solution have the graph of the steps too. Memory grows with the number of steps. Meant
    for a fixed number of them (``tol=0``), as the papers use it.
    """

    unrolls: ClassVar[bool] = True
