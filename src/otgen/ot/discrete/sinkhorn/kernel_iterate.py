"""The iterate given by scalings of a kernel, whose accuracy is cheaper to compute than that of potentials."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.interval import Interval
from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.correction import Correction, correction_solved, correction_started
from otgen.ot.discrete.sinkhorn.kernel import Kernel
from otgen.ot.discrete.sinkhorn.kernel_certificate import CorrectedScalings, certify_kernel
from otgen.ot.discrete.solver import DiscreteIterate, DiscreteSolver
from otgen.threads import Lock, cached_property

# The gap is worth its pass if its estimate is within this factor of the tolerance.
_NEAR_TOL = 1.5
# If roundoff is more than this fraction of a gap, the certificate in float64 may be tighter.
_ROUNDED = 0.5
# Costs so much larger than eps leave the kernel's exponents few digits; and entries of which a pass costs nothing.
_COARSE, _FEW = 2.0**22, 1 << 12
# Roundings of the mean cost and of eps that a gap may be found to be.
_ROUNDOFF = 16
# Sweeps to spend on a correction once the potentials are good enough.
_MORE_SWEEPS = 40


class KernelIterate(DiscreteIterate):
    """A state that holds a kernel."""

    # Whether the interval from the kernel was mostly roundoff.
    _rounded = False

    def __init__(self, solver: DiscreteSolver, problem: Discrete, state: Any, kernel: Kernel) -> None:
        super().__init__(solver, problem, state, 0.0)
        self.kernel, self.absorbed = kernel, Potentials(state.f, state.g)
        self.annealing = kernel.eps != problem.eps
        # A correction changes its sub-problem, and a solution's is computed by whoever reads its interval first.
        self._correcting = Lock()

    @cached_property
    @override
    def finite(self) -> bool:
        # The drift is finite only if the logarithms of all scalings are.
        return math.isfinite(self.kernel.drift) and self.absorbed.finite

    @cached_property
    @override
    def potentials(self) -> Potentials:
        if self.annealing:
            return self.solver.potentials(self.problem, self.state)
        found = self.kernel.potentials(self.absorbed.f, self.absorbed.g)
        problem = self.problem
        coarse = problem.largest_cost > _COARSE * problem.eps or math.prod(problem.shape) <= _FEW
        if problem.dtype != torch.float64 or problem.streamed or not coarse:
            return found
        # The exponents of the kernel are rounded: where that is more than the last digits, the transform is taken anew.
        z = found.g.unsqueeze(-2) - problem.matrix
        return Potentials(problem.reg.soft_transform(z, problem.b.unsqueeze(-2), dim=-1), found.g)

    @cached_property
    @override
    def marginal_error(self) -> float:
        if self.annealing:
            return super().marginal_error
        with ignore_fp_flags():
            # Of the plan with exact rows: all its error is in the columns.
            return max(
                float(abs(one.missing).sum(one.axis).max()) for one in map(correction_started, self.kernel.subproblems)
            )

    @cached_property
    def corrections(self) -> list[Correction]:
        """One correction per sub-problem; a Newton step starts from them."""
        with self._correcting, ignore_fp_flags():
            return [correction_solved(one) for one in self.kernel.subproblems]

    @override
    def expects_gap(self, tol: float) -> bool:
        self.wanted = tol
        if self.last:
            return True
        if self.annealing:
            return False
        _ = self.marginal_error  # free here, and it belongs in the history
        # The dual's linear part, close to the value: the smallest of the batch.
        f, g = self.potentials.f, self.potentials.g
        size = ((self.problem.a * f).sum(-1) + (self.problem.b * g).sum(-1)).abs().min()
        scale = abs(self.problem.mean_cost) + self.kernel.eps
        # A gap that is only roundoff is worth its pass: no further steps make it smaller.
        goal = max(_NEAR_TOL * tol * float(size), _ROUNDOFF * torch.finfo(self.problem.dtype).eps * scale)
        with ignore_fp_flags():
            started = [correction_started(one) for one in self.kernel.subproblems]
            if any(self.kernel.eps * float(one.least_decrement.max()) > goal for one in started):
                return False
        # To second order the gap is eps times the decrement; the residual adds the cost of its fill by a product.
        for correction in self.corrections:
            gap = self.kernel.eps * float(correction.decrement.max())
            if gap > goal:
                return False
            if gap <= goal / 2:
                # The potentials are good enough: only the correction of the plan must improve.
                with ignore_fp_flags():
                    correction.improve(_MORE_SWEEPS, (goal / 2 - gap / 2) / scale)
            if gap + float(correction.residual.max()) * scale > goal:
                return False
        return True

    @cached_property
    @override
    def interval(self) -> Interval:
        quick = self._quick_bounds()
        if quick is None:
            return super().interval
        missed = quick.rel_gap > self.wanted
        if not bool(missed.any()):
            return quick
        self._rounded = bool((2 * quick.rounding > _ROUNDED * quick.gap)[missed].any())
        # If roundoff dominates the gap: float64 has a smaller allowance for it.
        return super().interval.meet(quick) if self.last or self._rounded else quick

    @property
    @override
    def coarse(self) -> bool:
        return self._rounded and self.problem.dtype == torch.float32

    @override
    def correction(self) -> tuple[Tensor, Tensor] | None:
        if self.annealing:
            return None
        alpha, x = [one.alpha for one in self.corrections], [one.x for one in self.corrections]
        return self.kernel.joined(alpha, self.kernel.a), self.kernel.joined(x, self.kernel.b)

    def _quick_bounds(self) -> Interval | None:
        """The interval from the kernel; None if it is unavailable."""
        # What a plan lacks is filled with a product there, which forbidden pairs do not allow.
        if self.annealing or self.problem.forbids:
            return None
        kernel, each = self.kernel, self.corrections
        scalings = CorrectedScalings(
            p=kernel.joined([one.p for one in each], kernel.a),
            q=kernel.joined([one.at for one in each], kernel.b),
            alpha=kernel.joined([one.alpha for one in each], kernel.a),
            x=kernel.joined([one.x for one in each], kernel.b),
        )
        bounds = certify_kernel(self.problem, kernel.matrix, kernel.eps, kernel.rounding, scalings, self.absorbed)
        return Interval(*bounds) if bool(torch.isfinite(torch.stack(bounds)).all()) else None
