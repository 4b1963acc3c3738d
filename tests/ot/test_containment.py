"""The interval holds the true value, at any iterate: the library's central promise.

The truth comes from `cases.reference`, which brackets it between its own dual and primal values; those are a few
1e-13 of the cost apart, so an interval that misses the bracket misses the truth.
"""

from __future__ import annotations

from statistics import median

import pytest

from cases.random_problems import RandomProblem, random_problem
from otgen.ot import KL, Solution, default_solver
from otgen.ot.certificate import certify
from otgen.ot.look import Ending

LOOKS = (1, 10, 100, 1000)
# Rounding of the reference's own evaluation, relative to its value.
ROUNDING = 1e-13


def solutions(case: RandomProblem, looks: tuple[int, ...]) -> dict[int, Solution]:
    """The state of one run after so many steps."""
    problem = case.problem()
    solver = default_solver(problem)
    state, done, found = solver.init(problem), 0, {}
    for steps in looks:
        state = solver.advance(problem, state, steps - done)
        done = steps
        potentials = solver.potentials(problem, state)
        found[steps] = Solution(problem, certify(problem, potentials).lower, potentials, ending=Ending(steps=steps))
    return found


def check(seeds: range, *, newton: tuple[int, ...] = LOOKS) -> None:
    """Containment for every problem and look; a small gap at the end for most."""
    gaps = []
    for seed in seeds:
        case = random_problem(seed)
        truth = case.truth()
        slack = ROUNDING * abs(truth.value)
        for steps, solution in solutions(case, LOOKS if isinstance(case.reg, KL) else newton).items():
            low, high = solution.lower.item(), solution.upper.item()
            where = f"problem {seed} ({case.reg}, {case.cost}) after {steps} steps"
            assert low <= truth.high + slack, f"{where}: lower {low!r} above the truth {truth.high!r}"
            assert high >= truth.low - slack, f"{where}: upper {high!r} below the truth {truth.low!r}"
            assert low <= high, where
        gaps.append(solution.rel_gap.item())
    assert median(gaps) < 1e-4


def test_interval_contains_truth_and_closes() -> None:
    # 900 more of Newton's steps would take most of the time and, from the 100th on, go nowhere.
    check(range(24), newton=LOOKS[:-1])


@pytest.mark.slow
def test_interval_contains_truth_on_200_problems() -> None:
    check(range(200))
