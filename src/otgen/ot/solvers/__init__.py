"""Solvers of transport problems."""

from otgen.ot.solvers.base import DiscreteSolver, Solver
from otgen.ot.solvers.dual_ascent import DualAscent
from otgen.ot.solvers.exact import Exact
from otgen.ot.solvers.semi_discrete import AveragedSGD, SemiDiscreteSolver, StochasticSinkhorn
from otgen.ot.solvers.sinkhorn import Sinkhorn, Update

__all__ = [
    "AveragedSGD",
    "DiscreteSolver",
    "DualAscent",
    "Exact",
    "SemiDiscreteSolver",
    "Sinkhorn",
    "Solver",
    "StochasticSinkhorn",
    "Update",
]
