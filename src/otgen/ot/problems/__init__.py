"""Transport problems: what is to be solved, apart from how."""

from otgen.ot.problems.base import Problem, Sampler
from otgen.ot.problems.continuous import Continuous
from otgen.ot.problems.discrete import Discrete, Side
from otgen.ot.problems.geometry import Geometry, Matrix, Points
from otgen.ot.problems.grid import Deposit, GridW1, Outside, histogram
from otgen.ot.problems.semi_discrete import SemiDiscrete

__all__ = [
    "Continuous",
    "Deposit",
    "Discrete",
    "Geometry",
    "GridW1",
    "Matrix",
    "Outside",
    "Points",
    "Problem",
    "Sampler",
    "SemiDiscrete",
    "Side",
    "histogram",
]
