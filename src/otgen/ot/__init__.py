"""Optimal transport between samples, differentiable, every value inside a certified interval.

>>> import torch
>>> from otgen.ot import Discrete, KL, solve
>>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.5]])
>>> solution = solve(Discrete(x, y, reg=KL(eps=0.1)))
>>> bool(solution.lower <= solution.value <= solution.upper)
True
"""

from otgen.ot.certificate import Certificate
from otgen.ot.costs import L1, Cosine, Cost, PNorm, SqEuclidean
from otgen.ot.divergences import Combination, OTLoss, SinkhornDivergence, TransportLoss
from otgen.ot.energy import MinibatchEnergyDistance, Value
from otgen.ot.gradient_error import GradientError
from otgen.ot.gradients import Envelope, Gradient, Unroll
from otgen.ot.look import Check, Look, Status
from otgen.ot.potentials import Potentials
from otgen.ot.problems import Discrete, Problem, Sampler
from otgen.ot.regularisers import KL, NoReg, Quadratic, Regulariser, Relative, SmoothRegulariser
from otgen.ot.samples_loss import SamplesLoss
from otgen.ot.solution import Solution
from otgen.ot.solve import OnUnconverged, default_solver, solve
from otgen.ot.solvers import DiscreteSolver, DualAscent, Exact, Sinkhorn, Solver, Update
from otgen.ot.suggest import SuggestedEps, suggest_eps
from otgen.ot.until import MarginalError, MeanMass, RelGap, Steps, Until

__all__ = [
    "KL",
    "L1",
    "Certificate",
    "Check",
    "Combination",
    "Cosine",
    "Cost",
    "Discrete",
    "DiscreteSolver",
    "DualAscent",
    "Envelope",
    "Exact",
    "Gradient",
    "GradientError",
    "Look",
    "MarginalError",
    "MeanMass",
    "MinibatchEnergyDistance",
    "NoReg",
    "OTLoss",
    "OnUnconverged",
    "PNorm",
    "Potentials",
    "Problem",
    "Quadratic",
    "Regulariser",
    "RelGap",
    "Relative",
    "Sinkhorn",
    "Sampler",
    "SamplesLoss",
    "SinkhornDivergence",
    "SmoothRegulariser",
    "Solution",
    "Solver",
    "SqEuclidean",
    "Status",
    "Steps",
    "SuggestedEps",
    "TransportLoss",
    "Unroll",
    "Until",
    "Update",
    "Value",
    "default_solver",
    "solve",
    "suggest_eps",
]
