"""Stop when fresh samples show no further gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.continuous.neural_dual import NeuralDualIterate
from otgen.ot.core import checks
from otgen.ot.core.iterate import Accuracy
from otgen.ot.core.stopping import Stopping
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.pseudo_plan import PseudoPlan
from otgen.ot.discrete.solution import Solution


@dataclass(frozen=True)
class WithinNoise(Stopping):
    """Stop when the excess gap on fresh samples is within ``errors`` standard errors of zero.

    The gap of a fresh batch, its own optimal value minus the dual value of the networks, is mostly sampling error: no
    fixed potentials close it, not even those of the laws. So it is compared with the gap that the bank's solution,
    extended to new points by soft transforms, leaves on the same batches. The batch's own value cancels; what remains
    is the excess, ``mean(dual of the bank's potentials - dual of the networks)``. Its standard error is that of the
    mean over the batches.

    If the test is met, fresh samples do not distinguish the networks from a solution of the bank; a larger bank makes
    the test stricter. The bank's problem is solved once.

    Attributes:
        errors: the number of standard errors.
        batches: fresh batches per check, each with as many samples as a training batch.
    """

    errors: float = 2.0
    batches: int = 20

    def __post_init__(self) -> None:
        message = "errors must be a positive number of standard errors, got {}; 2 is usual"
        errors = checks.number(self.errors, message, above=0)
        checks.settle(self, errors=errors, batches=checks.count("batches", self.batches, 2))

    @override
    def met(self, iterate: Accuracy) -> bool:
        excess, error = self.excess(iterate)
        return excess <= self.errors * error

    @override
    def missed(self, iterate: Accuracy) -> str:
        excess, error = self.excess(iterate)
        return f"excess gap {excess:.2g} on fresh samples, wanted within {self.errors:g} standard errors of {error:.2g}"

    @torch.no_grad()
    def excess(self, iterate: Accuracy) -> tuple[float, float]:
        """The excess gap on fresh samples, in units of the cost, and its standard error."""
        if not isinstance(iterate, NeuralDualIterate):
            raise InputError(
                "WithinNoise needs laws to draw fresh samples from, as NeuralDual has; use RelGap for points in hand"
            )
        rng, differences = iterate.fresh_rng(), []
        for _ in range(self.batches):
            batch = iterate.problem.sample(iterate.solver.batch, rng)
            x, y = (side.points for side in batch.sides())
            best = PseudoPlan.of(batch, _extended(iterate.bank.solution, batch)).dual
            differences.append(best - PseudoPlan.of(batch, iterate.potentials.on(x, y)).dual)
        values = torch.tensor(differences).double()
        mean = float(values.mean())
        if not math.isfinite(mean):
            return math.inf, 0.0
        return mean, float(values.std()) / math.sqrt(self.batches)


def _extended(solution: Solution, batch: Discrete) -> Potentials:
    """The potentials of a solution, extended to new points by soft transforms over its support."""
    bank, reg = solution.problem, solution.problem.reg
    (old_x, old_y), (x, y) = ((s.points.double() for s in problem.sides()) for problem in (bank, batch))
    z = solution.potentials.g.double() - bank.cost(x, old_y)
    f = reg.soft_transform(z, bank.b.double().unsqueeze(-2), -1)
    z = solution.potentials.f.double().unsqueeze(-1) - bank.cost(old_x, y)
    return Potentials(f, reg.soft_transform(z, bank.a.double().unsqueeze(-1), -2))
