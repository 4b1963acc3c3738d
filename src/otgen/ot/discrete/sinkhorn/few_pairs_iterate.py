"""The iterate of a problem with few pairs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from typing_extensions import override

from otgen.ot.core.interval import Interval
from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.few_pairs import FewPairs
from otgen.ot.discrete.solver import DiscreteIterate, DiscreteSolver
from otgen.threads import cached_property


class FewPairsIterate(DiscreteIterate):
    """A state that holds a problem with few pairs."""

    def __init__(self, solver: DiscreteSolver, problem: Discrete, state: object, few: FewPairs) -> None:
        super().__init__(solver, problem, state, 0.0)
        self._few, self.annealing = few, few.at.eps != problem.eps
        with ignore_fp_flags():
            self._here = few.at_eps(problem.eps)

    @cached_property
    @override
    def potentials(self) -> Potentials:
        return self._here.potentials

    @cached_property
    @override
    def finite(self) -> bool:
        return math.isfinite(self._here.value)

    @cached_property
    @override
    def marginal_error(self) -> float:
        # The rows are exact.
        return float(abs(self._few.b - self._here.columns).sum())

    @override
    def expects_gap(self, tol: float) -> bool:
        self.wanted = tol
        # Bounds cost less than to predict them.
        return self.last or not self.annealing

    @cached_property
    @override
    def interval(self) -> Interval:
        with ignore_fp_flags():
            bounds = self._few.bounds(self._here)
        if bounds is None:
            return super().interval
        numbers = torch.tensor((*bounds, self._here.value), dtype=torch.float64)
        lower, upper, rounding, self.dual = numbers.unbind()
        quick = Interval(lower, upper, rounding)
        if quick.largest_rel_gap > self.wanted and (self.last or bool(quick.rounded)):
            # Pair by pair there is less roundoff, and a corrected plan has a smaller gap.
            return super().interval.meet(quick)
        return quick

    @override
    def _is_narrow(self, known: Interval) -> bool:
        # These potentials have no roundoff that the bounds do not allow for.
        return self._has_large_costs(known)

    @override
    def correction(self) -> tuple[Tensor, Tensor] | None:
        with ignore_fp_flags():
            found = self._few.correction(self._here)
        return None if found is None else (torch.from_numpy(found[0]), torch.from_numpy(found[1]))
