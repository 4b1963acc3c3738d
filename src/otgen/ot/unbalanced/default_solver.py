"""The default solver of an unbalanced problem."""

from __future__ import annotations

import math

from otgen.ot.core.solver import Solver
from otgen.ot.unbalanced.newton import UnbalancedNewton
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.ot.unbalanced.sinkhorn import UnbalancedSinkhorn

# Newton is the default up to this many products a step: some tenths of a second.
_NEWTON_PRODUCTS = 1 << 31


def default_unbalanced_solver(problem: Unbalanced, *, fixed_steps: bool = False) -> Solver:
    """Newton where its matrices are small, Sinkhorn's iteration otherwise and for a fixed number of steps."""
    products = math.prod(problem.shape) * problem.shape[-1]
    return UnbalancedSinkhorn() if fixed_steps or products > _NEWTON_PRODUCTS else UnbalancedNewton()
