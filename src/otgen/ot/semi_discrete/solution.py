"""What a semi-discrete solve gives: potentials that are functions, and what fresh samples say of their accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.autograd.function import once_differentiable
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.interval import Estimate
from otgen.ot.core.iterate import Ending, Look, Solved, Status
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.gradients import Gradient
from otgen.ot.semi_discrete.problem import SemiDiscrete

# Batches that a look's samples are split into: the chi-square's error is a jackknife over them.
_BATCHES = 16
_CONFIDENCE = 0.99


@dataclass(frozen=True, kw_only=True)
class SemiDiscreteEstimate(Estimate):
    """What fresh samples say of potentials ``g``: statistical, each limit on its own at ``confidence``.

    ``lower`` is the mean of the semi-dual less a margin (one-sided, Student): it relies on the mean of ``samples``
    values being nearly normal, and is optimistic where the source has tails so heavy that it is not. ``upper`` is
    infinite: see :func:`otgen.ot.sampled_upper_bound`.

    Attributes:
        chi2: unbiased estimate of ``sum_j q_j^2 / b_j - 1``, with q_j the mass that atom j attracts: from pairs of
            independent batches (one batch of K alone would add some m / K). May be negative.
        chi2_low: no larger than the true chi-square, at ``confidence``.
        chi2_high: no smaller than the true chi-square, at ``confidence``.
    """

    chi2: float
    chi2_low: float
    chi2_high: float


@dataclass(frozen=True)
class AtomPotentials:
    """Potentials of a semi-discrete problem: a vector on the atoms, and a function elsewhere.

    Attributes:
        problem: whose atoms, cost and regulariser they belong to; its eps a number.
        g: ``(m,)``, units of the cost, plus sign: ``s_j(x) = f(x) + g_j - c(x, y_j)``.
    """

    problem: SemiDiscrete
    g: Tensor

    def on(self, x: Tensor) -> Tensor:
        """``f(x)``, the soft transform of g at any points (Houdard et al. 2021, (14)): ``(n, ...) -> (n,)``.

        Differentiable in x, once: ``sum_j p_j(x) grad_x c(x, y_j)`` (their (24); at ties of NoReg a subgradient).
        Memory is bounded, whatever n.
        """
        x = self.problem.flattened("x", x)
        f: Tensor = _Transform.apply(x, self)  # type: ignore[no-untyped-call]
        return f

    def loss(self, x: Tensor) -> Tensor:
        """``mean_i f(x_i) + <b, g>``: the semi-dual on a batch, what a generator descends (their (39), (41)).

        In (41) the gradient of the cost is the one with respect to its first point.
        """
        return self.on(x).mean() + self.problem.b @ self.g

    @torch.no_grad()
    def map(self, x: Tensor) -> Tensor:
        """Barycentric map ``sum_j p_j(x) y_j``, ``(n, ...) -> (n, d)``; the assigned atom under NoReg."""
        x = self.problem.flattened("x", x)
        atoms, eps = self.problem.atoms, self.problem.weight
        with full_precision(x.device):
            if eps == 0:
                return torch.cat([atoms.y[atoms.hard(x[part], self.g)[0]] for part in atoms.row_blocks(len(x))])
            return torch.cat([atoms.soft(x[part], self.g, eps)[0] @ atoms.y for part in atoms.row_blocks(len(x))])


class _Transform(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, potentials: AtomPotentials) -> Tensor:  # noqa: D102
        needed = ctx.needs_input_grad[0]
        with full_precision(x.device):
            f, grad = _transform(x.detach(), potentials, needed)
        ctx.save_for_backward(*([grad] if grad is not None else []))
        return f

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        (gradient,) = ctx.saved_tensors
        return grad.unsqueeze(1) * gradient, None


def _transform(x: Tensor, potentials: AtomPotentials, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """``f`` and ``grad f`` at the points, streamed."""
    atoms, eps = potentials.problem.atoms, potentials.problem.weight
    g = potentials.g.to(x.dtype)
    values, gradients = [], []
    for part in atoms.row_blocks(len(x)):
        rows = x[part]
        if eps > 0:
            p, f = atoms.soft(rows, g, eps)
            gradient = atoms.soft_gradient(rows, p) if with_gradient else None
        else:
            index, f = atoms.hard(rows, g)
            gradient = atoms.hard_gradient(rows, index) if with_gradient else None
        values.append(f)
        if gradient is not None:
            gradients.append(gradient)
    return torch.cat(values), torch.cat(gradients) if with_gradient else None


class SemiDiscreteLook(Look):
    """A look at potentials, through samples of its own: it changes nothing for the solver."""

    def __init__(self, problem: SemiDiscrete, g: Tensor, *, samples: int, seed: int, state: Any) -> None:
        self.problem, self.samples, self.seed, self.state = problem, samples, seed, state
        # A copy: the solver works in place.
        self.potentials = AtomPotentials(problem, g.detach().clone())

    @cached_property
    @override
    def finite(self) -> bool:
        return bool(torch.isfinite(self.potentials.g).all())

    @cached_property
    def estimate(self) -> SemiDiscreteEstimate:
        """What fresh samples say."""
        rng = torch.Generator().manual_seed(self.seed)
        return semi_dual_estimate(self.potentials, self.samples, rng)

    @cached_property
    @override
    def marginal_error(self) -> float:
        # ||q - b||_1 <= sqrt(chi2), by Cauchy and Schwarz; the upper limit, so that no lucky sample stops a solve.
        return math.sqrt(max(self.estimate.chi2_high, 0.0))

    @property
    @override
    def mean_mass(self) -> float:
        # f is the soft transform of g: every row has its mass.
        return 1.0

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
        self, outer: SemiDiscrete, inner: SemiDiscrete, gradient: Gradient, ending: Ending
    ) -> SemiDiscreteSolution:
        if gradient.unrolls:
            raise InputError(
                f"a semi-discrete problem cannot be differentiated by {gradient}: its solvers are not recorded; "
                "descend solution.loss(x), which needs no gradient option"
            )
        return SemiDiscreteSolution(self, ending)


class SemiDiscreteSolution(Solved):
    """What a semi-discrete solve found. Its numbers are statistical: from fresh samples, and drawn when first read.

    Attributes:
        problem: with a number for eps.
        potentials: :class:`AtomPotentials`: g on the atoms, f as a function.
        state: the solver's state; ``warm_start=solution`` starts another solve from here.
        ending: how the solve went.
    """

    def __init__(self, look: SemiDiscreteLook, ending: Ending) -> None:
        self._look, self.ending = look, ending
        self.problem, self.potentials, self.state = look.problem, look.potentials, look.state

    @property
    def eps(self) -> float:
        """The regularisation weight as a number; 0 without regularisation."""
        return self.problem.weight

    @property
    def estimate(self) -> SemiDiscreteEstimate:
        """What fresh samples say of the potentials."""
        return self._look.estimate

    @property
    def value(self) -> Tensor:
        """The semi-dual, a mean over fresh samples: float64, no graph; see :meth:`loss` for gradients."""
        return torch.tensor(self.estimate.value, dtype=torch.float64)

    @property
    def marginal_error(self) -> float:
        """Upper confidence limit on ``||q - b||_1``, with q what the atoms attract."""
        return self._look.marginal_error

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
            f"{self.steps} step{'' if self.steps == 1 else 's'}",
        ]
        if self.status not in (Status.CONVERGED, Status.FIXED_STEPS):
            parts.append(f"not converged: {self.status.value}")
        return ", ".join(parts)


@torch.no_grad()
def semi_dual_estimate(potentials: AtomPotentials, samples: int, rng: torch.Generator) -> SemiDiscreteEstimate:
    """Judge potentials by fresh samples.

    Args:
        potentials: must not depend on what ``rng`` draws.
        samples: how many, at least 32; rounded up to 16 equal batches.
        rng: what they are drawn through.
    """
    checks.count("samples", samples, 2 * _BATCHES)
    problem = potentials.problem
    atoms, g, eps, size = problem.atoms, potentials.g, problem.weight, -(-samples // _BATCHES)
    shares = g.new_zeros(_BATCHES, atoms.count)
    values = []
    with full_precision(problem.device):
        for batch in shares:
            x = problem.draw(size, rng)
            for part in atoms.row_blocks(size):
                rows = x[part]
                mean, f = atoms.shares(rows, g, eps)
                batch.add_(mean, alpha=len(rows) / size)
                values.append(f)
        scaled = (shares * atoms.inverse.sqrt()).double()
        gram = scaled @ scaled.mT
    f = torch.cat(values).double()
    value = float(f.mean() + problem.b.double() @ g.double())
    count = len(f)
    margin = _quantile(count - 1) * float(f.std()) / math.sqrt(count)
    chi2, error = chi_square(gram)
    spread = _quantile(_BATCHES - 1) * error
    return SemiDiscreteEstimate(
        value=value,
        lower=value - margin,
        upper=math.inf,
        confidence=_CONFIDENCE,
        samples=count,
        chi2=chi2,
        chi2_low=chi2 - spread,
        chi2_high=chi2 + spread,
    )


def chi_square(gram: Tensor) -> tuple[float, float]:
    """The mean of ``sum_j p_j p'_j / b_j - 1`` over pairs of independent batches, and its standard error.

    The error is the jackknife's, over the batches: on average no smaller than the true one (Efron and Stein 1981).

    Args:
        gram: ``sum_j p_rj p_sj / b_j`` of batches r and s, ``(R, R)``; its diagonal is not used.
    """
    count = len(gram)
    pairs = gram - torch.diag(gram.diagonal())
    total, rows = pairs.sum(), pairs.sum(1)
    left_out = (total - 2 * rows) / ((count - 1) * (count - 2)) - 1
    variance = (count - 1) / count * (left_out - left_out.mean()).square().sum()
    return float(total / (count * (count - 1)) - 1), float(variance.sqrt())


def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, _CONFIDENCE))
