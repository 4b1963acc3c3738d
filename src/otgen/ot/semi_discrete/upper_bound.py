"""A statistical upper bound on a semi-discrete value, from sampled problems with certified upper bounds."""

from __future__ import annotations

import math
import statistics

import torch
from scipy.special import stdtrit

from otgen.ot.core import checks
from otgen.ot.core.interval import Estimate
from otgen.ot.core.loop import run
from otgen.ot.discrete.default_solver import default_discrete_solver
from otgen.ot.semi_discrete.problem import SemiDiscrete

_CONFIDENCE = 0.99


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
    checks.count("n", n, 1)
    checks.count("repeats", repeats, 2)
    rng = checks.generator(rng)
    problem = problem.resolved()
    uppers = []
    for _ in range(repeats):
        sampled = problem.sample(n, rng)
        solution = run(sampled, default_discrete_solver(sampled), max_steps=max_steps, on_unconverged="ignore")
        uppers.append(float(solution.upper))
    mean = statistics.fmean(uppers)
    margin = float(stdtrit(repeats - 1, _CONFIDENCE)) * statistics.stdev(uppers) / math.sqrt(repeats)
    return Estimate(value=mean, lower=-math.inf, upper=mean + margin, confidence=_CONFIDENCE, samples=n * repeats)
