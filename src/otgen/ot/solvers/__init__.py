"""Solvers of transport problems."""

from otgen.ot.solvers.base import DiscreteSolver, Solver
from otgen.ot.solvers.dual_ascent import DualAscent
from otgen.ot.solvers.exact import Exact
from otgen.ot.solvers.neural_dual import NeuralDual, NeuralDualState, Upper
from otgen.ot.solvers.newton import Newton
from otgen.ot.solvers.semi_discrete import AveragedSGD, SemiDiscreteSolver, StochasticSinkhorn
from otgen.ot.solvers.sinkhorn import Acceleration, Sinkhorn, Update

__all__ = [
    "Acceleration",
    "AveragedSGD",
    "DiscreteSolver",
    "DualAscent",
    "Exact",
    "NeuralDual",
    "NeuralDualState",
    "Newton",
    "SemiDiscreteSolver",
    "Sinkhorn",
    "Solver",
    "StochasticSinkhorn",
    "Update",
    "Upper",
]
