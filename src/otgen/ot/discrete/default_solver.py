"""The default solver of a discrete problem."""

from __future__ import annotations

import math

from otgen.ot.core.solver import Solver
from otgen.ot.discrete.dual_ascent import DualAscent
from otgen.ot.discrete.exact import Exact
from otgen.ot.discrete.newton import Newton
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg

# Newton is the default if its matrices have at most this many entries.
_NEWTON_PAIRS = 1 << 26
# Solvers have no state: one of each will do.
_PLAIN, _FASTEST = Sinkhorn(), Sinkhorn.fastest()


def default_discrete_solver(problem: Discrete, *, fixed_steps: bool = False) -> Solver:
    """Sinkhorn for KL, Exact for NoReg; otherwise Newton if its matrices are small, and DualAscent if not."""
    if isinstance(problem.reg, KL):
        return _PLAIN if fixed_steps else _FASTEST
    if isinstance(problem.reg, NoReg):
        return Exact()
    # Newton keeps n x m numbers, and m x m in float64 if it factorises.
    pairs = math.prod(problem.shape) + math.prod(problem.shape[:-2]) * problem.shape[-1] ** 2
    return Newton() if pairs <= _NEWTON_PAIRS else DualAscent()
