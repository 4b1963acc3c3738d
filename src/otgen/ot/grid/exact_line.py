"""W1 on a line, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import pad
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.grid.problem import GridW1
from otgen.ot.grid.solver import GridSolver, GridState

# A flow below this many units of roundoff of a unit mass counts as zero: the critic is flat there.
_ROUNDINGS = 16


@dataclass(frozen=True, kw_only=True)
class GridExact1D(GridSolver):
    """The exact value on a line, ``dx sum |cumsum(c)|``, with its critic: the optimum of (14) of Pinetz et al. 2018.

    The flow across a face is the mass that is missing on one side of it. The critic rises by ``dx`` along the flow
    (which goes from nu to mu), and is flat where nothing flows. One step solves it. The shapes ``(N,)``, ``(N, 1)`` and
    ``(1, N)`` are accepted.
    """

    check_every: ClassVar[int] = 1

    @override
    def accepts(self, problem: GridW1) -> None:
        super().accepts(problem)
        if not problem.is_line:
            raise InputError(
                f"GridExact1D cannot solve a grid of shape {problem.shape}: the closed form holds on a line; use "
                "GridPDHG(), or leave the solver out"
            )

    @override
    def step(self, problem: GridW1, state: GridState) -> GridState:
        c = problem.balanced.flatten()
        across = -c.cumsum(0)[:-1]
        slope = torch.where(across.abs() > _ROUNDINGS * torch.finfo(c.dtype).eps, across.sign(), 0.0)
        f = pad(slope.cumsum(0), (1, 0)).reshape(problem.operator.shape)
        # The field of this flow, divided equally among the pairs of a node.
        u = pad(across.cumsum(0), (1, 0)).reshape(problem.operator.shape)
        y = problem.operator.differences(u) / problem.operator.pairs
        return GridState(f=f, y=y, critic=f, flow=y, average=f)
