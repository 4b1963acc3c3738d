"""A start of quadratic problems with a small eps: the potentials of exact transport."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from otgen.errors import NumericalError
from otgen.ot.discrete.exact import Exact
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.none import NoReg
from otgen.ot.regularisers.quadratic import Quadratic

# An exact plan of uniform weights has some max(n, m) pairs, and pays eps max(n, m) / 2 to the regulariser. Where that
# is below this fraction of the spread of the costs, exact transport takes less time than the steps that it saves, as
# measured for 10 to 3,000 points in 1, 2 and 784 dimensions. The most entries of its matrices.
_SMALL, _ENTRIES = 0.1, 1 << 24
# Rows and columns that the spread is taken of.
_SAMPLE = 128


def exact_start(problem: Discrete) -> Potentials | None:
    """The potentials of exact transport, computed on the CPU; None if eps is not small, or the problem is large.

    The active pairs there are nearly those of the regularised plan, where Newton's steps end. From 0 they take tens of
    steps to find them, and may not find them at all.
    """
    if not isinstance(problem.reg, Quadratic) or math.prod(problem.shape) > _ENTRIES:
        return None
    paid, (low, high) = problem.eps * max(problem.shape[-2:]) / 2, problem.cost_range
    # The spread is at most half the range, which is known already.
    if paid > _SMALL * (high - low) / 2 or not paid <= _SMALL * _spread(problem.matrix.detach()):
        return None
    unregularised = copy.copy(problem)
    unregularised.reg = NoReg()
    solver = Exact()
    try:
        state = solver.step(unregularised, solver.init(unregularised))
    except NumericalError:
        # It is only a start: the certificate of what follows needs none of it.
        return None
    return solver.potentials(unregularised, state)


def _spread(costs: Tensor) -> float:
    """The standard deviation of the costs without the means of rows and columns, which potentials take up."""
    some = costs[..., :: -(-costs.shape[-2] // _SAMPLE), :: -(-costs.shape[-1] // _SAMPLE)].double()
    # Forbidden pairs do not count.
    some = torch.where(some < torch.inf, some, torch.nan)
    some = some - some.nanmean(-1, keepdim=True)
    return float((some - some.nanmean(-2, keepdim=True)).square().nanmean().sqrt())
