"""One door to all kinds of problems: which solver, and what comes back."""

from __future__ import annotations

from typing import Any, Unpack, overload

from otgen.errors import InputError
from otgen.ot.continuous.neural_dual import NeuralDual
from otgen.ot.continuous.problem import Continuous
from otgen.ot.continuous.solution import ContinuousSolution
from otgen.ot.core import checks
from otgen.ot.core.loop import SolveOptions, run
from otgen.ot.core.problem import Problem
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import Steps
from otgen.ot.discrete.default_solver import default_discrete_solver
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution
from otgen.ot.grid.exact_line import GridExact1D
from otgen.ot.grid.pdhg import GridPDHG
from otgen.ot.grid.problem import GridW1
from otgen.ot.grid.solution import GridSolution
from otgen.ot.semi_discrete.problem import SemiDiscrete
from otgen.ot.semi_discrete.solution import SemiDiscreteSolution
from otgen.ot.semi_discrete.solvers import StochasticSinkhorn


@overload
def solve(problem: Discrete, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> Solution: ...
@overload
def solve(
    problem: SemiDiscrete, solver: Solver | None = None, **options: Unpack[SolveOptions]
) -> SemiDiscreteSolution: ...
@overload
def solve(problem: Continuous, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> ContinuousSolution: ...
@overload
def solve(problem: GridW1, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> GridSolution: ...
@overload
def solve(problem: Problem, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> Any: ...
def solve(problem: Problem, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> Any:
    """Solve a transport problem to an accuracy.

    Args:
        problem: what to solve.
        solver: how; :func:`default_solver` says which where it is left out.
        options: by name, all optional.

            - ``until``: the stopping test; the solver's own, mostly ``RelGap(1e-3)``, where neither this nor ``tol`` is
              given.
            - ``tol``: shorthand: ``tol=t`` is ``until=RelGap(t)``, ``tol=0`` is ``until=Steps()``.
            - ``max_steps``: the most steps to take; 1000.
            - ``check_every``: steps between two checks of the accuracy; the solver's own number where it is left out.
            - ``warm_start``: an earlier solution of a problem of this kind, or its potentials, to start from.
            - ``gradient``: ``Envelope()`` (default) or ``Unroll()``.
            - ``on_unconverged``: ``"warn"`` (default), ``"raise"`` or ``"ignore"`` when the steps run out before the
              tolerance.
            - ``callback``: called with the :class:`HistoryEntry` of every check.
            - ``rng``: what a stochastic solver, or a statistical check, draws from; a generator seeded with 0 if left
              out. Deterministic solvers do not touch it.

    Returns:
        The solution; ``solution.value`` carries the gradient.

    Raises:
        InputError: where problem, solver and options do not fit.
        UnconvergedError: under ``on_unconverged="raise"``.
    """
    if solver is None:
        fixed_steps = options.get("tol") == 0 or isinstance(options.get("until"), Steps)
        solver = default_solver(problem, fixed_steps=fixed_steps)
    return run(problem, solver, **options)


def default_solver(problem: Problem, *, fixed_steps: bool = False) -> Solver:
    """The solver that :func:`solve` takes for a problem.

    KL: Sinkhorn. NoReg: Exact. Quadratic and others: Newton where ``B (n m + m^2)`` is at most 2^26, which is half a
    gigabyte of float64 (n = m = 5,792 without a batch); beyond, DualAscent, which holds no matrix.

    Args:
        problem: what is to be solved.
        fixed_steps: whether steps are asked for, not an accuracy: Sinkhorn's are then the plain ones.
    """
    checks.component("problem", problem, Problem, "Discrete(x, y)")
    if isinstance(problem, Discrete):
        return default_discrete_solver(problem, fixed_steps=fixed_steps)
    if isinstance(problem, SemiDiscrete):
        return StochasticSinkhorn()
    if isinstance(problem, Continuous):
        return NeuralDual()
    if isinstance(problem, GridW1):
        return GridExact1D() if problem.is_line else GridPDHG()
    raise InputError(f"there is no solver for a {type(problem).__name__}; pass one")
