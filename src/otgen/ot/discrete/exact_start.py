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

# A plan of exact transport has some max(n, m) pairs, and its regularisation term is eps max(n, m) / 2. Where that is
# below this fraction of the spread of the costs, exact transport takes less time than the steps that it saves. The
# most entries of its matrices.
_SMALL, _ENTRIES = 0.1, 1 << 24
# Rows and columns that the spread is taken of.
_SAMPLE = 128


def exact_start(problem: Discrete) -> Potentials | None:
    """The potentials of exact transport, from the CPU; None if eps is not small, or the problem is large."""
    if not isinstance(problem.reg, Quadratic) or math.prod(problem.shape) > _ENTRIES:
        return None
    if not problem.eps * max(problem.shape[-2:]) / 2 <= _SMALL * _spread(problem.matrix.detach()):
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
