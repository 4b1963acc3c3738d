"""The interval holds the true value, at any iterate: the library's central promise.

The truth comes from `cases.reference`, which brackets it between its own dual and primal values; those are a few
1e-13 of the cost apart, so an interval that misses the bracket misses the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

import pytest
import torch

from cases.random_problems import RandomProblem, cloud, random_problem, weights
from otgen import ot
from otgen.ot import KL, L1, Acceleration, Discrete, PNorm, Relative, Sinkhorn, Solution, SqEuclidean, certify, solve
from otgen.ot.core.results import SolveOutcome
from otgen.ot.discrete.sinkhorn.kernel_iterate import KernelIterate

LOOKS = (1, 10, 100, 1000)
# Rounding of the reference's own evaluation, relative to its value.
ROUNDING = 1e-13


def solutions(case: RandomProblem, iterates: tuple[int, ...]) -> dict[int, Solution]:
    """The state of one run after so many steps."""
    problem = case.problem()
    solver = ot.default_solver(problem)
    state, done, found = solver.init(problem), 0, {}
    for steps in iterates:
        state = solver.advance(problem, state, steps - done)
        done = steps
        potentials, outcome = solver.potentials(problem, state), SolveOutcome(steps=steps)
        found[steps] = Solution(problem, certify(problem, potentials).lower, potentials, outcome=outcome)
    return found


def check(seeds: range, *, newton: tuple[int, ...] = LOOKS) -> None:
    """Containment for every problem and look; a small gap at the end for most."""
    gaps = []
    for seed in seeds:
        case = random_problem(seed)
        truth = case.truth()
        slack = ROUNDING * abs(truth.value)
        for steps, solution in solutions(case, LOOKS if isinstance(case.reg, KL) else newton).items():
            where = f"problem {seed} ({case.reg}, {case.cost}) after {steps} steps: {solution} and {truth}"
            assert truth.within(solution, slack), where
            assert solution.lower <= solution.upper, where
        gaps.append(solution.rel_gap.item())
    assert median(gaps) < 1e-4


def iterates(problem: Discrete, solver: Sinkhorn, count: int) -> Iterator[tuple[int, tuple[float, float]]]:
    """The interval from the kernel after each step that has one."""
    state = solver.init(problem)
    for step in range(1, count + 1):
        state = solver.advance(problem, state, 1)
        iterate = solver.iterate(problem, state, None)
        if isinstance(iterate, KernelIterate) and not iterate.annealing:
            # A tolerance that is met leaves it to the kernel.
            iterate.wanted = math.inf
            yield step, (iterate.interval.lower.item(), iterate.interval.upper.item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("acceleration", [Acceleration.NONE, Acceleration.NEWTON])
@pytest.mark.parametrize("eps", [0.005, 0.05, 1.0])
def test_the_interval_from_the_kernel_contains_truth_and_closes(
    eps: float, acceleration: Acceleration, dtype: torch.dtype
) -> None:
    for seed, cost in enumerate([SqEuclidean(), PNorm(p=1), L1()]):
        x, y = (cloud(n, 3, 10 * seed + k).to(dtype) for k, n in enumerate((40, 30)))
        a, b = (weights(n, 10 * seed + k, zeros=2).to(dtype) for k, n in ((3, 40), (4, 30)))
        given = Discrete(x, y, a, b, cost=cost, reg=KL(eps=Relative(eps)))
        reg = given.resolved().reg
        # The same numbers in float64: what both intervals are about.
        exact = Discrete(x.double(), y.double(), given.a.double(), given.b.double(), cost=cost, reg=reg)
        truth = solve(exact, tol=1e-12, on_unconverged="raise")
        seen = 0
        for step, (low, high) in iterates(given.with_reg(reg), Sinkhorn(anneal=0.35, acceleration=acceleration), 70):
            seen += 1
            assert low <= truth.upper.item(), f"{cost} after {step} steps"
            assert high >= truth.lower.item(), f"{cost} after {step} steps"
        assert seen > 20
        if acceleration is Acceleration.NEWTON:
            width = 1e-4 if dtype == torch.float32 else 1e-9
            assert high - low <= width * truth.value.item()


def test_interval_contains_truth_and_closes() -> None:
    # 900 more of Newton's steps would take most of the time and, from the 100th on, go nowhere.
    check(range(16), newton=LOOKS[:-1])


@pytest.mark.slow
def test_interval_contains_truth_on_200_problems() -> None:
    check(range(200))
