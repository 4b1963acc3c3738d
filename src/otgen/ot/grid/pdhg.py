"""W1 on a grid by the primal-dual algorithm of Chambolle and Pock."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.grid.problem import GridW1
from otgen.ot.grid.solver import GridSolver, GridState
from otgen.renamed import accepts_former_options

# The ratio of the step lengths that took the fewest steps over five kinds of densities, as a fraction of the ratio of
# critic and flow in the respective norm.
_H1_RATIO = 0.4
_EUCLIDEAN_RATIO = 0.05
# Share of the newest critic in the moving average.
_NEWEST = 0.1


class StepNorm(StrEnum):
    """The norm in which the critic takes its step.

    EUCLIDEAN: Pinetz et al. 2018, Algorithm 1. The number of steps to a given accuracy grows with the number of cells
    per side.
    H1: the seminorm ``||D f||``: the step is ``f + tau (D^T D)^+ (c - D^T y)``, a Poisson equation solved by cosine
    transforms. It needs only ``tau sigma <= 1``, and the number of steps is nearly independent of the number of cells.
    """

    EUCLIDEAN = "euclidean"
    H1 = "h1"


@accepts_former_options
@dataclass(frozen=True, kw_only=True)
class GridPDHG(GridSolver):
    """The primal-dual algorithm for W1 on a grid: Pinetz et al. 2018, Algorithm 1, after Chambolle and Pock 2011.

    With ``norm=EUCLIDEAN``, ``relaxation=1`` and a given tau it is that algorithm. Works in float64.

    Attributes:
        norm: the norm in which the critic takes its step.
        tau: step length of the critic, in the units of the problem (c a mass, f a length); sigma is the largest
            admissible one for it. If None, the ratio of the two is chosen from the size of the grid and the potential
            flow of c.
        relaxation: the factor applied to each step of the algorithm, in (0, 2); 1 is the plain algorithm.
    """

    norm: StepNorm = StepNorm.H1
    tau: float | None = None
    relaxation: float = 1.8

    def __post_init__(self) -> None:
        if not isinstance(self.norm, StepNorm):
            raise InputError(f"norm must be a StepNorm, such as StepNorm.H1; got {self.norm!r}")
        if self.tau is not None:
            message = "tau must be positive, or None to have it chosen, got {}"
            checks.settle(self, tau=checks.number(self.tau, message, above=0))
        message = "relaxation must be above 0 and below 2, got {}: from 2 on it diverges"
        checks.settle(self, relaxation=checks.number(self.relaxation, message, above=0, below=2))

    @override
    def step_lengths(self, problem: GridW1, flow_norm: float) -> tuple[float, float]:
        operator, cells = problem.operator, problem.c.numel()
        euclidean = self.norm is StepNorm.EUCLIDEAN
        # ||D||^2 in the step's norm: (20) of the paper, and 1 by construction.
        square = 8.0 * operator.pairs if euclidean else 1.0
        if self.tau is not None:
            unit = problem.mass / problem.dx if euclidean else problem.mass * problem.dx
            return self.tau * unit, 1 / (square * self.tau * unit)
        # |D f| is close to 1 at most nodes of an optimal critic, in one pair of each; the critic itself is of the
        # order of the grid's width.
        size = math.sqrt(cells / operator.pairs)
        size *= _EUCLIDEAN_RATIO * max(operator.shape) if euclidean else _H1_RATIO
        ratio = size / flow_norm if flow_norm > 0 else 1.0
        return ratio / math.sqrt(square), 1 / (ratio * math.sqrt(square))

    @override
    def step(self, problem: GridW1, state: GridState) -> GridState:
        operator, rho = problem.operator, self.relaxation
        # Algorithm 1, line 1: f - tau D^T y + tau c, in the norm.
        left = problem.balanced - operator.adjoint(state.y)
        if self.norm is StepNorm.H1:
            left = operator.potential(left)
        critic = state.f + state.tau * left
        # Lines 2 and 3, with the proximal map (22): y (1 - 1 / max(1, |y| / sigma)).
        z = state.y + state.sigma * operator.differences(2 * critic - state.f)
        squares = z.square().sum(1, keepdim=True).clamp(min=state.sigma**2)
        flow = z - z * (state.sigma * squares.rsqrt())
        return replace(
            state,
            f=torch.lerp(state.f, critic, rho),
            y=torch.lerp(state.y, flow, rho),
            critic=critic,
            flow=flow,
            average=torch.lerp(state.average, critic, _NEWEST),
        )
