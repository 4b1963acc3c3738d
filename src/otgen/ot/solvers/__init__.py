"""Solvers of transport problems."""

from otgen.ot.solvers.base import DiscreteSolver, Solver
from otgen.ot.solvers.dual_ascent import DualAscent
from otgen.ot.solvers.exact import Exact
from otgen.ot.solvers.grid_base import GridSolver
from otgen.ot.solvers.grid_exact import GridExact1D
from otgen.ot.solvers.grid_pdhg import GridPDHG, Metric
from otgen.ot.solvers.neural_dual import NeuralDual, NeuralDualState, Upper
from otgen.ot.solvers.newton import Newton
from otgen.ot.solvers.positive_features import PositiveFeatures
from otgen.ot.solvers.semi_discrete import AveragedSGD, SemiDiscreteSolver, SemiDiscreteState, StochasticSinkhorn
from otgen.ot.solvers.sinkhorn import Acceleration, Sinkhorn, Update

__all__ = [
    "Acceleration",
    "AveragedSGD",
    "DiscreteSolver",
    "DualAscent",
    "Exact",
    "GridExact1D",
    "GridPDHG",
    "GridSolver",
    "Metric",
    "NeuralDual",
    "NeuralDualState",
    "Newton",
    "PositiveFeatures",
    "SemiDiscreteSolver",
    "SemiDiscreteState",
    "Sinkhorn",
    "Solver",
    "StochasticSinkhorn",
    "Update",
    "Upper",
]
