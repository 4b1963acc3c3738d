"""A start for problems whose largest costs, which carry no mass, hide all others in roundoff."""

from __future__ import annotations

import math
from typing import Any

import torch

from otgen.ot.core.loop import run
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import MarginalError
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete

# The cap on costs: so many times the largest of the least costs of a row or a column, plus so many eps, beyond which
# the plan has no mass to speak of.
_CAP, _CAP_EPS = 1024.0, 1000.0
# The largest matrix that is held for it, the marginal error, and the most steps.
_ENTRIES, _TOL, _STEPS = 1 << 22, 1e-13, 200


def capped_start(problem: Discrete, solver: Solver) -> Potentials | None:
    """The potentials of the problem with costs ``min(c, K)``; None if no cost is above K, or the matrix is too large.

    On the way to a small eps, potentials become as large as the largest cost, and so does their roundoff. With capped
    costs they do not. They are a good start for the problem itself if its plan uses no pair above K.
    """
    if math.prod(problem.shape) > _ENTRIES:
        return None
    costs = problem.rows(slice(None), torch.float64)
    least = torch.maximum(costs.amin(-1).amax(-1), costs.amin(-2).amax(-1))
    cap = (_CAP * least.abs() + _CAP_EPS * problem.eps)[..., None, None]
    # A forbidden pair stays one.
    above = (costs > cap) & costs.isfinite()
    if not bool(above.any()):
        return None
    capped = Discrete.from_matrix(torch.where(above, cap, costs), *problem.weights64, reg=problem.reg)
    found: Any = run(capped, solver, until=MarginalError(_TOL), max_steps=_STEPS, on_unconverged="ignore")
    return found.potentials if found.potentials.finite else None
