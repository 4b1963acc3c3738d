"""What any two potentials say about a discrete problem, as they are: no soft transform, no rounding of the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import SmoothRegulariser

_UNIT = torch.finfo(torch.float64).eps / 2


@dataclass(frozen=True)
class PseudoPlan:
    """The plan ``a_i b_j density(s_ij)`` of potentials whose rows and columns need not fit (Sanjabi et al. 2018, (6)).

    Attributes:
        dual: dual value at the potentials; minus infinity where it is beyond float64.
        lower: the same minus a bound on its rounding: no larger than the problem's value.
        mass: of the plan; 1 at the optimum.
        marginal_error: ``||row sums - a||_1 + ||column sums - b||_1``.
    """

    dual: float
    lower: float
    mass: float
    marginal_error: float


@torch.no_grad()
def pseudo_plan(problem: Discrete, potentials: Potentials) -> PseudoPlan:
    """Evaluate the dual and the plan in float64, one block of rows after the other.

    Args:
        problem: one problem, no batch, with a smooth regulariser and a number for eps.
        potentials: any two vectors, ``(n,)`` and ``(m,)``.
    """
    reg = problem.reg
    assert isinstance(reg, SmoothRegulariser)
    a, b = (w.double() / w.double().sum() for w in (problem.a, problem.b))
    f, g = potentials.f.double(), potentials.g.double()
    value = a @ f + b @ g
    absolute = a @ f.abs() + b @ g.abs()
    largest = f.abs().max() + g.abs().max()
    columns, row_error, mass = torch.zeros_like(b), value.new_zeros(()), value.new_zeros(())
    for part in problem.row_blocks():
        costs = problem.rows(part, torch.float64)
        s = f[part].unsqueeze(-1) + (g - costs)
        conjugate = reg.conjugate(s) @ b
        value = value - a[part] @ conjugate
        absolute = absolute + a[part] @ conjugate.abs()
        largest = torch.maximum(largest, costs.abs().max())
        density = reg.density(s)
        rows = density @ b
        mass = mass + a[part] @ rows
        row_error = row_error + a[part] @ (rows - 1).abs()
        columns += a[part] @ density
    error = float(row_error + b @ (columns - 1).abs())
    # conjugate >= -eps * density cancels within a row's sum: its size is at most that of its value and the mass.
    slack = _UNIT * (_terms(problem) * (absolute + reg.weight * (1 + mass)) + 16 * largest * (1 + mass))
    dual, lower = float(value), float(value - slack)
    if math.isnan(dual) or math.isnan(lower):
        # Infinity less infinity: a plan beyond float64 has no finite dual value.
        dual, lower = -math.inf, -math.inf
    return PseudoPlan(dual, lower, float(mass), error)


def _terms(problem: Discrete) -> int:
    # Roundings that a sum over the plan, and the cost of one pair, may go through.
    n, m = problem.shape
    return n + m + problem.geometry.inputs()[0].shape[-1] + 64
