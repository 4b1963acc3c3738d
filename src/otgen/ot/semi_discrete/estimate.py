"""Statistical estimates, from fresh samples: value and chi-square of semi-discrete potentials, and an upper bound."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.interval import Estimate
from otgen.ot.core.loop import run
from otgen.ot.core.precision import full_precision
from otgen.ot.discrete.default_solver import default_discrete_solver
from otgen.ot.semi_discrete.potentials import AtomPotentials
from otgen.ot.semi_discrete.problem import SemiDiscrete

# Batches that the samples are split into: the chi-square's error is a jackknife over them.
_BATCHES = 16
_CONFIDENCE = 0.99


@dataclass(frozen=True, kw_only=True)
class SemiDiscreteEstimate(Estimate):
    """Statistical estimates for potentials ``g``, from fresh samples; each limit holds by itself at ``confidence``.

    ``lower`` is the mean of the semi-dual minus a one-sided Student margin. It assumes that the mean of ``samples``
    values is nearly normal, and is too optimistic for a source whose tails are too heavy for that. ``upper`` is
    infinite: see :func:`otgen.ot.sampled_upper_bound`.

    Attributes:
        chi2: unbiased estimate of ``sum_j q_j^2 / b_j - 1``, with q_j the mass that atom j attracts. It is computed
            from pairs of independent batches, since a single batch of K samples has a bias of about m / K. May be
            negative.
        chi2_low: no larger than the true chi-square, at ``confidence``.
        chi2_high: no smaller than the true chi-square, at ``confidence``.
    """

    chi2: float
    chi2_low: float
    chi2_high: float


@torch.no_grad()
def semi_dual_estimate(potentials: AtomPotentials, samples: int, rng: torch.Generator) -> SemiDiscreteEstimate:
    """Estimate value and chi-square of potentials from fresh samples.

    Args:
        potentials: must not depend on what ``rng`` draws.
        samples: how many, at least 32; rounded up to 16 equal batches.
        rng: the generator of the samples.
    """
    samples = checks.count("samples", samples, 2 * _BATCHES)
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

    The error is a jackknife over the batches, on average no smaller than the true one (Efron and Stein 1981).

    Args:
        gram: ``sum_j p_rj p_sj / b_j`` of batches r and s, ``(R, R)``; its diagonal is not used.
    """
    count = len(gram)
    pairs = gram - torch.diag(gram.diagonal())
    total, rows = pairs.sum(), pairs.sum(1)
    left_out = (total - 2 * rows) / ((count - 1) * (count - 2)) - 1
    variance = (count - 1) / count * (left_out - left_out.mean()).square().sum()
    return float(total / (count * (count - 1)) - 1), float(variance.sqrt())


@uncompiled
def sampled_upper_bound(
    problem: SemiDiscrete, n: int, *, repeats: int = 8, rng: torch.Generator | None = None, max_steps: int = 1000
) -> Estimate:
    """An upper bound on the value of a semi-discrete problem (Mak, Morton and Wood 1999).

    The value is convex in the source, so the values of sampled problems exceed it on average. Each sampled problem is
    solved, which gives a certified upper bound on its value. The result is the mean of these bounds plus a one-sided
    Student margin, which assumes nearly normal means. The excess due to sampling decreases with n: it is about
    ``(m - 1) eps / (2 n)`` if eps is not small.

    Args:
        problem: the problem whose value is bounded.
        n: samples of each discrete problem.
        repeats: how many discrete problems, at least 2.
        rng: the generator of the samples; one seeded with 0 if omitted.
        max_steps: of each solve; the bound holds wherever it stops.

    Raises:
        InputError: if a number is too small.
    """
    checks.component("problem", problem, SemiDiscrete, "SemiDiscrete(source, y)")
    n, repeats = checks.count("n", n, 1), checks.count("repeats", repeats, 2)
    rng = checks.generator(rng)
    problem = problem.resolved()
    uppers = []
    for _ in range(repeats):
        sampled = problem.sample(n, rng)
        solution = run(sampled, default_discrete_solver(sampled), max_steps=max_steps, on_unconverged="ignore")
        uppers.append(float(solution.upper))
    mean = statistics.fmean(uppers)
    if not math.isfinite(mean):
        return Estimate(value=mean, lower=-math.inf, upper=math.inf, confidence=_CONFIDENCE, samples=n * repeats)
    margin = _quantile(repeats - 1) * statistics.stdev(uppers) / math.sqrt(repeats)
    return Estimate(value=mean, lower=-math.inf, upper=mean + margin, confidence=_CONFIDENCE, samples=n * repeats)


def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, _CONFIDENCE))
