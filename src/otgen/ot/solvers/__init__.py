"""Solvers of discrete transport problems."""

from otgen.ot.solvers.base import DiscreteSolver, Solver
from otgen.ot.solvers.dual_ascent import DualAscent
from otgen.ot.solvers.exact import Exact
from otgen.ot.solvers.grid_base import GridSolver
from otgen.ot.solvers.grid_exact import GridExact1D
from otgen.ot.solvers.grid_pdhg import GridPDHG, Metric
from otgen.ot.solvers.sinkhorn import Sinkhorn, Update

__all__ = [
    "DualAscent",
    "DiscreteSolver",
    "Exact",
    "GridExact1D",
    "GridPDHG",
    "GridSolver",
    "Metric",
    "Sinkhorn",
    "Solver",
    "Update",
]
