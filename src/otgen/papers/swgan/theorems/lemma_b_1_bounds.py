"""Sanjabi et al. 2018, Lemma B.1 and Corollary B.1.1: how near the regularised value is to the exact one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from otgen.ot import KL, Quadratic
from otgen.papers.problems import Problems, even, random_problems, regularisers, spread_out, uniform, weights
from otgen.papers.swgan.theorems.games import unregularised
from otgen.papers.theorem import Relation, Trials, at_most, theorem


@theorem(
    "S4",
    "Lemma B.1, Corollary B.1.1",
    "d_eps - eps I* <= d_c <= d_eps, with I* the least penalty of an optimal plan; for uniform laws on M and N points "
    "and K = min(M, N), I* <= log K with KL and I* <= K/2 with the squared norm. (For the latter even d_c <= d_eps - "
    "eps/2; and the linear part of d_eps is at least d_c.)",
)
def value_bounds(
    trials: Trials, *, factor: float = 1.0, entropy: float = 1.0, norm: float = 0.5, sharp: float = 0.5
) -> Iterator[Relation]:
    """Lemma B.1 and its corollary.

    ``factor`` is that of ``eps I*``; ``entropy`` and ``norm`` are those of ``log K`` and of K, the bounds on I*;
    ``sharp`` is that of eps, by which the squared norm's value lies above the exact one.
    """
    rng, k = trials.rng, trials.at_most(min(100, trials.n // 6))
    for reg in regularisers(0.01, 0.1, 1.0):
        problems = random_problems(rng, k, reg)
        exact, least = _exact(problems)
        value = problems.optimum.dual
        linear = (problems.optimum.plan * problems.C).sum((-1, -2))
        tight, tight_too = (0.95, 0.8) if reg.weight == 0.01 else (0.0, 0.0)
        yield at_most(f"d_eps - d_c and eps I*, {reg}", value - exact, factor * reg.weight * least, tight=tight)
        yield at_most(f"d_c and d_eps, {reg}", exact, value, tight=tight_too)
        yield at_most(f"d_c and <pi*, c>, {reg}", exact, linear, slack=1e-8)
    # The corollary: M = N, where every optimal plan is a permutation and meets the bound, and M < N.
    k = trials.at_most(min(100, trials.n // 4))
    for n, m in ((5, 5), (4, 7)):
        costs, K = uniform(rng, k, n, m), min(n, m)
        for reg, bound in ((KL(eps=1.0), entropy * math.log(K)), (Quadratic(eps=1.0), norm * K)):
            _, least = _exact(Problems(C=costs, a=even(k, n), b=even(k, m), reg=reg))
            label = f"I* and its bound, {type(reg).__name__}, {n} and {m} points"
            yield at_most(label, least, bound, tight=0.99 if n == m else 0.0)
    # The sharper bound, down to costs that hardly differ, where it is met.
    k, reg = trials.at_most(100), Quadratic(eps=0.2)
    C = 1 + spread_out(rng, k, 1e-3, 1.0)[:, None, None] * uniform(rng, k, 6, 7)
    problems = Problems(C=C, a=weights(rng, k, 6), b=weights(rng, k, 7), reg=reg)
    rise = problems.optimum.dual - _exact(problems)[0]
    yield at_most("eps/2 and d_eps - d_c, norm-2", sharp * reg.weight, rise, tight=0.97)


def _exact(problems: Problems) -> tuple[Tensor, Tensor]:
    """The unregularised value, and the penalty of its plan (the only optimal one, for costs drawn at random)."""
    solution = unregularised(problems)
    return solution.value, problems.penalty(solution.plan())
