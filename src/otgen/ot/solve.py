"""Solving a problem of any kind: the choice of the solver, and the type of the solution."""

from __future__ import annotations

from typing import Any, Unpack, overload

from otgen.errors import InputError
from otgen.ot.continuous.neural_dual import NeuralDual
from otgen.ot.continuous.problem import Continuous
from otgen.ot.continuous.solution import ContinuousSolution
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
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
from otgen.ot.unbalanced.default_solver import default_unbalanced_solver
from otgen.ot.unbalanced.problem import Unbalanced
from otgen.ot.unbalanced.solution import UnbalancedSolution


@overload
def solve(problem: Discrete, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> Solution: ...
@overload
def solve(problem: Unbalanced, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> UnbalancedSolution: ...
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
@uncompiled
def solve(problem: Problem, solver: Solver | None = None, **options: Unpack[SolveOptions]) -> Any:
    """Solve a transport problem to a given accuracy.

    Args:
        problem: what to solve.
        solver: the solver; if omitted, :func:`default_solver` chooses it.
        options: by name, all optional.

            - ``until``: the stopping test; if neither this nor ``tol`` is given, the solver's own, mostly
              ``RelGap(1e-3)``.
            - ``tol``: shorthand: ``tol=t`` is ``until=RelGap(t)``, ``tol=0`` is ``until=Steps()``.
            - ``max_steps``: the maximum number of steps; 1000 by default.
            - ``check_every``: steps between two checks of the accuracy; the solver's own number if omitted.
            - ``warm_start``: an earlier solution of a problem of this kind, or its potentials, to start from.
            - ``gradient``: ``Envelope()`` (default) or ``Unroll()``.
            - ``on_unconverged``: ``"warn"`` (default), ``"raise"`` or ``"ignore"``, if the steps run out before the
              tolerance is reached.
            - ``callback``: called with the :class:`HistoryEntry` of every check.
            - ``dtype``: ``torch.float64`` to compute in it although the points are float32; by default that is done
              where float32 is too coarse for eps, the weights or the tolerance. The value has the points' dtype.
            - ``rng``: the generator that a stochastic solver or a statistical check draws from; one seeded with 0 if
              omitted. Deterministic solvers do not use it.

    Returns:
        The solution; ``solution.value`` carries the gradient.

    Raises:
        InputError: if problem, solver and options do not fit together.
        UnconvergedError: if the tolerance is missed under ``on_unconverged="raise"``.
    """
    checks.untransformed("the problem")
    if solver is None:
        fixed_steps = checks.plain(options.get("tol")) == 0 or isinstance(options.get("until"), Steps)
        solver = default_solver(problem, fixed_steps=fixed_steps)
    return run(problem, solver, **options)


def default_solver(problem: Problem, *, fixed_steps: bool = False) -> Solver:
    """The solver that :func:`solve` uses for a problem by default.

    Discrete problems: Sinkhorn for KL, Exact for NoReg. For Quadratic and others: Newton if ``B (n m + m^2)`` is at
    most 2^26, which is half a gigabyte of float64 (n = m = 5,792 without a batch); otherwise DualAscent, which keeps no
    matrix. For a small eps Newton starts from exact transport. Unbalanced ones: Newton up to some 1,000 points,
    UnbalancedSinkhorn beyond.

    Args:
        problem: what is to be solved.
        fixed_steps: whether a fixed number of steps is requested instead of an accuracy; Sinkhorn then takes plain
            steps.
    """
    checks.component("problem", problem, Problem, "Discrete(x, y)")
    if isinstance(problem, Discrete):
        return default_discrete_solver(problem, fixed_steps=fixed_steps)
    if isinstance(problem, Unbalanced):
        return default_unbalanced_solver(problem, fixed_steps=fixed_steps)
    if isinstance(problem, SemiDiscrete):
        return StochasticSinkhorn()
    if isinstance(problem, Continuous):
        return NeuralDual()
    if isinstance(problem, GridW1):
        return GridExact1D() if problem.is_line else GridPDHG()
    raise InputError(f"there is no solver for a {type(problem).__name__}; pass one")
