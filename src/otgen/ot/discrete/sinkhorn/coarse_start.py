"""A starting point for a streamed problem, from the solution of a sub-sample."""

from __future__ import annotations

import torch

from otgen.ot.core import checks
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.streaming import extended
from otgen.ot.discrete.solver import DiscreteSolver

# Steps on the sub-sample: more would not help, since its sampling error dominates.
_STEPS = 40


def coarse_start(
    problem: Discrete, solver: DiscreteSolver, points: int, rng: torch.Generator | None
) -> Potentials | None:
    """Potentials of some points of each side, extended to all columns by a soft transform.

    None for a batch, or if a side has fewer than twice as many points.

    Args:
        problem: the whole problem.
        solver: the solver of the sub-sample.
        points: number of points of each side, drawn without replacement.
        rng: the generator that draws them; one seeded with 0 if None.
    """
    n, m = problem.shape[-2:]
    if len(problem.shape) == 3 or min(n, m) < 2 * points:
        return None
    rng = checks.generator(rng)
    rows, columns = (torch.randperm(size, generator=rng)[:points].to(problem.device) for size in (n, m))
    few = problem.subsample(rows, columns)
    f = solver.potentials(few, solver.advance(few, solver.init(few), _STEPS)).f
    every = torch.arange(m, device=problem.device)
    g = extended(problem.subsample(rows, every), f, problem.eps)
    return Potentials(torch.zeros_like(problem.a), g)
