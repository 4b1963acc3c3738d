"""Solvers of discrete transport problems."""

from otgen.ot.solvers.base import DiscreteSolver, Solver
from otgen.ot.solvers.dual_ascent import DualAscent
from otgen.ot.solvers.exact import Exact
from otgen.ot.solvers.neural_dual import NeuralDual, NeuralDualState, Upper
from otgen.ot.solvers.sinkhorn import Sinkhorn, Update

__all__ = [
    "DiscreteSolver",
    "DualAscent",
    "Exact",
    "NeuralDual",
    "NeuralDualState",
    "Sinkhorn",
    "Solver",
    "Update",
    "Upper",
]
