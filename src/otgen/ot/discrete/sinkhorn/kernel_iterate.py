"""A look at scalings of a kernel, which cost less to judge than potentials do."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.kernel import Kernel, quiet
from otgen.ot.discrete.sinkhorn.kernel_certificate import Bounds, kernel_bounds
from otgen.ot.discrete.sinkhorn.updates import Correction, begun, corrected, known
from otgen.ot.discrete.solution import relative_gap
from otgen.ot.discrete.solver import DiscreteLook, DiscreteSolver

# A gap is worth its pass where the estimate is within this factor of the tolerance.
_HOPE = 1.5
# Where rounding is more than this share of a gap, float64 may do better.
_ROUNDED = 0.5
# Rounding of the potentials, in units of eps, from which the gap is certified as they are.
_COARSE = 0.01
# Sweeps that a correction is worth once the potentials are good enough.
_MORE_SWEEPS = 40


class KernelLook(DiscreteLook):
    """A look at a state that holds a kernel."""

    def __init__(
        self, solver: DiscreteSolver, problem: Discrete, state: Any, kernel: Kernel, absorbed: tuple[Tensor, Tensor]
    ) -> None:
        super().__init__(solver, problem, state, 0.0)
        self.kernel, self.absorbed = kernel, absorbed
        self.wanted = 0.0

    @cached_property
    def annealing(self) -> bool:
        """Whether the kernel is that of a larger eps."""
        return bool(self.kernel.eps != self.problem.reg.weight)  # type: ignore[attr-defined]

    @cached_property
    @override
    def finite(self) -> bool:
        # The drift is that of the scalings' logarithms.
        return math.isfinite(self.kernel.drift) and math.isfinite(self.absorbed[0].sum() + self.absorbed[1].sum())

    @cached_property
    @override
    def potentials(self) -> Potentials:
        if self.annealing:
            return self.solver.potentials(self.problem, self.state)
        kernel = self.kernel
        # The rows made exact; a correction, where there is one, begins with the same product.
        started = [known(part) for part in kernel.parts]
        if None in started:
            p = kernel.row_half_step()
        else:
            p = kernel.joined_rows([found.p for found in started if found is not None])
        return Potentials(self.absorbed[0] - kernel.eps * p.log(), self.absorbed[1] + kernel.eps * kernel.log_v())

    @cached_property
    @override
    def marginal_error(self) -> float:
        if self.annealing:
            return super().marginal_error
        with quiet():
            # Of the plan with exact rows: all its error is in the columns.
            return max(float(abs(one.missing).sum(one.axis).max()) for one in map(begun, self.kernel.parts))

    @cached_property
    def corrections(self) -> list[Correction]:
        """One a problem of the batch; a Newton step starts from them."""
        with quiet():
            return [corrected(part) for part in self.kernel.parts]

    @override
    def expects_gap(self, tol: float) -> bool:
        self.wanted = tol
        if self.last:
            return True
        if self.annealing:
            return False
        _ = self.marginal_error  # free here, and it belongs in the history
        goal = _HOPE * tol * self._size
        with quiet():
            started = [begun(part) for part in self.kernel.parts]
            if any(self.kernel.eps * float(found.least_decrement.max()) > goal for found in started):
                return False
        # To second order the gap is eps times the decrement; the residual goes where a product fill takes it.
        scale = abs(self.problem.mean_cost) + self.kernel.eps
        for found in self.corrections:
            gap = self.kernel.eps * float(found.decrement.max())
            if gap > goal:
                return False
            if gap <= goal / 2:
                # The potentials are good enough: what the plan lacks is only a better correction.
                with quiet():
                    found.improve(_MORE_SWEEPS, (goal / 2 - gap / 2) / scale)
            if gap + float(found.residual.max()) * scale > goal:
                return False
        return True

    @cached_property
    def _size(self) -> float:
        # About the smallest value of the batch: the dual's linear part.
        potentials = self.potentials
        values = (self.problem.a * potentials.f).sum(-1) + (self.problem.b * potentials.g).sum(-1)
        return float(values.abs().min())

    @cached_property
    @override
    def bounds(self) -> tuple[Tensor, Tensor]:
        quick = self._quick_bounds()
        if quick is None:
            return self.exact_bounds()
        lower, upper, slack = quick
        met = bool(relative_gap(lower, upper, self.problem).max() <= self.wanted)
        if met:
            return self.exact_bounds() if self._coarse else (lower, upper)
        if not (self.last or bool((slack > _ROUNDED * (upper - lower)).any())):
            return lower, upper
        # Rounding may be what is in the way: float64 allows less for it.
        exact = self.exact_bounds()
        return torch.maximum(exact[0], lower), torch.minimum(exact[1], upper)

    @property
    def _coarse(self) -> bool:
        """Whether potentials of the dtype are too coarse for eps: theirs is then another plan than the kernel's."""
        unit = torch.finfo(self.problem.dtype).eps
        return unit * abs(self.problem.mean_cost) > _COARSE * self.kernel.eps

    @override
    def correction(self) -> tuple[Tensor, Tensor] | None:
        if self.annealing:
            return None
        found = self.corrections
        alpha, x = [one.alpha for one in found], [one.x for one in found]
        return self.kernel.joined_rows(alpha), self.kernel.joined_columns(x)

    def _quick_bounds(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Lower and upper bound, and rounding's share of their distance, from the kernel itself."""
        if self.annealing or not self.kernel.separate():
            return None
        found = [self._one(k) for k in range(len(self.kernel.parts))]
        lower, upper, slack = (
            torch.tensor([getattr(one, name) for one in found], dtype=torch.float64, device=self.problem.device)
            for name in ("lower", "upper", "slack")
        )
        if not bool(torch.isfinite(lower + upper).all()):
            return None
        if len(self.problem.shape) == 3:
            return lower, upper, slack
        return lower.squeeze(0), upper.squeeze(0), slack.squeeze(0)

    def _one(self, index: int) -> Bounds:
        kernel, problem, absorbed = self.kernel, self.problem, self.absorbed
        scaled = kernel.parts[index], self.corrections[index]
        if len(problem.shape) == 3:
            absorbed = absorbed[0][index], absorbed[1][index]
            return kernel_bounds(problem[index], kernel.matrix[index], kernel.eps, kernel.rounding, scaled, absorbed)
        return kernel_bounds(problem, kernel.matrix, kernel.eps, kernel.rounding, scaled, absorbed)
