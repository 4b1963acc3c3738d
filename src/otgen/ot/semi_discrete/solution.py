"""The solution of a semi-discrete problem: potentials as functions, and their accuracy on fresh samples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.results import Solved, SolveOutcome
from otgen.ot.semi_discrete.estimate import SemiDiscreteEstimate, semi_dual_estimate
from otgen.ot.semi_discrete.potentials import AtomPotentials
from otgen.ot.semi_discrete.problem import SemiDiscrete
from otgen.threads import cached_property


class SemiDiscreteIterate(Iterate):
    """Potentials, with their accuracy estimated on separate samples, so that a check changes nothing for the solver."""

    def __init__(self, problem: SemiDiscrete, state: Any, samples: int) -> None:
        self.problem, self.samples, self.state = problem, samples, state
        # Copies: the solver works in place.
        self.seed = state.check_seed + state.steps
        self.potentials = AtomPotentials(problem, state.average.detach().clone())

    @cached_property
    @override
    def finite(self) -> bool:
        return bool(torch.isfinite(self.potentials.g).all())

    @cached_property
    def estimate(self) -> SemiDiscreteEstimate:
        """Statistical estimates of value and chi-square, from fresh samples."""
        rng = torch.Generator().manual_seed(self.seed)
        return semi_dual_estimate(self.potentials, self.samples, rng)

    @cached_property
    @override
    def marginal_error(self) -> float:
        # ||q - b||_1 <= sqrt(chi2), by Cauchy and Schwarz. The upper confidence limit is used, so that no lucky sample
        # stops a solve.
        return math.sqrt(max(self.estimate.chi2_high, 0.0))

    # f is the soft transform of g, so every row has the right mass.
    mean_mass = 1.0

    @property
    @override
    def rel_gap(self) -> float:
        raise InputError(
            "a semi-discrete problem has no certified upper bound, so its relative gap is unknown; "
            "use until=MarginalError(...) or until=Steps() (tol=0)"
        )

    @override
    def restart(self) -> AtomPotentials:
        return self.potentials

    @override
    def solution(
        self, outer: SemiDiscrete, inner: SemiDiscrete, gradient: Gradient, outcome: SolveOutcome
    ) -> SemiDiscreteSolution:
        return SemiDiscreteSolution(self, outcome)


class SemiDiscreteSolution(Solved):
    """The solution of a semi-discrete problem. Its numbers are statistical, from fresh samples drawn when first read.

    Attributes:
        problem: with a number for eps.
        potentials: :class:`AtomPotentials`: g on the atoms, f as a function.
        state: the solver's state; ``warm_start=solution`` starts another solve from here.
        outcome: how the solve went.
    """

    def __init__(self, iterate: SemiDiscreteIterate, outcome: SolveOutcome) -> None:
        self._iterate, self.outcome = iterate, outcome
        self.problem, self.potentials, self.state = iterate.problem, iterate.potentials, iterate.state

    @property
    def eps(self) -> float:
        """The regularisation weight as a number; 0 without regularisation."""
        return self.problem.weight

    @property
    def estimate(self) -> SemiDiscreteEstimate:
        """Statistical estimates of value and chi-square, from fresh samples."""
        return self._iterate.estimate

    @property
    def value(self) -> Tensor:
        """The semi-dual, a mean over fresh samples: float64, no graph; see :meth:`loss` for gradients."""
        return torch.tensor(self.estimate.value, dtype=torch.float64)

    @property
    def marginal_error(self) -> float:
        """Upper confidence limit on ``||q - b||_1``, with q_j the mass that atom j attracts."""
        return self._iterate.marginal_error

    def loss(self, x: Tensor) -> Tensor:
        """The semi-dual on a batch: see :meth:`AtomPotentials.loss`."""
        return self.potentials.loss(x)

    def map(self, x: Tensor) -> Tensor:
        """The barycentric map: see :meth:`AtomPotentials.map`."""
        return self.potentials.map(x)

    def __repr__(self) -> str:
        e = self.estimate
        parts = [
            f"value={e.value:.5g} (statistical: at least {e.lower:.5g} with {100 * e.confidence:.3g} % confidence, "
            f"{e.samples} samples)",
            f"chi-square of the atoms {e.chi2:.2g} in [{e.chi2_low:.2g}, {e.chi2_high:.2g}]",
        ]
        return ", ".join([*parts, *self.outcome.texts()])
