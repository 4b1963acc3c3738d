"""Optimal transport between samples, differentiable, every value inside a certified interval.

>>> import torch
>>> from otgen.ot import Discrete, KL, solve
>>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.5]])
>>> solution = solve(Discrete(x, y, reg=KL(eps=0.1)))
>>> bool(solution.lower <= solution.value <= solution.upper)
True
"""

from otgen.ot.barycentric import BarycentricMap
from otgen.ot.certificate import Certificate
from otgen.ot.continuous_solution import ContinuousSolution
from otgen.ot.costs import L1, Cosine, Cost, LpPower, PNorm, SqEuclidean
from otgen.ot.divergences import Combination, OTLoss, SinkhornDivergence, TransportLoss
from otgen.ot.energy import MinibatchEnergyDistance
from otgen.ot.estimate import Estimate
from otgen.ot.function_potentials import FunctionPotentials
from otgen.ot.gradient_error import GradientError
from otgen.ot.gradients import Envelope, Gradient, Unroll
from otgen.ot.grid_operator import Stencil
from otgen.ot.grid_solution import GridCertificate, GridMemory, GridSolution
from otgen.ot.look import Check, Look, Status
from otgen.ot.perceptron import Perceptron
from otgen.ot.potentials import Potentials
from otgen.ot.problems import Continuous, Deposit, Discrete, GridW1, Outside, Problem, Sampler, SemiDiscrete, histogram
from otgen.ot.regularisers import KL, NoReg, Quadratic, Regulariser, Relative, SmoothRegulariser
from otgen.ot.samples_loss import SamplesLoss
from otgen.ot.semi_discrete import AtomPotentials, SemiDiscreteEstimate, SemiDiscreteSolution
from otgen.ot.semi_discrete_bounds import sampled_upper_bound
from otgen.ot.solution import Solution
from otgen.ot.solve import OnUnconverged, default_solver, solve
from otgen.ot.solvers import (
    Acceleration,
    AveragedSGD,
    DiscreteSolver,
    DualAscent,
    Exact,
    GridExact1D,
    GridPDHG,
    GridSolver,
    Metric,
    NeuralDual,
    NeuralDualState,
    Newton,
    PositiveFeatures,
    SemiDiscreteSolver,
    SemiDiscreteState,
    Sinkhorn,
    Solver,
    StochasticSinkhorn,
    Update,
    Upper,
)
from otgen.ot.suggest import SuggestedEps, suggest_eps
from otgen.ot.until import MarginalError, MeanMass, RelGap, Steps, Until
from otgen.ot.values import Value
from otgen.ot.within_noise import WithinNoise

__all__ = [
    "KL",
    "L1",
    "Acceleration",
    "AtomPotentials",
    "AveragedSGD",
    "BarycentricMap",
    "Certificate",
    "Check",
    "Combination",
    "Continuous",
    "ContinuousSolution",
    "Cosine",
    "Cost",
    "Deposit",
    "Discrete",
    "DiscreteSolver",
    "DualAscent",
    "Envelope",
    "Estimate",
    "Exact",
    "FunctionPotentials",
    "Gradient",
    "GradientError",
    "GridCertificate",
    "GridExact1D",
    "GridMemory",
    "GridPDHG",
    "GridSolution",
    "GridSolver",
    "GridW1",
    "Look",
    "LpPower",
    "MarginalError",
    "MeanMass",
    "Metric",
    "MinibatchEnergyDistance",
    "NeuralDual",
    "NeuralDualState",
    "Newton",
    "NoReg",
    "OTLoss",
    "OnUnconverged",
    "Outside",
    "PNorm",
    "Perceptron",
    "PositiveFeatures",
    "Potentials",
    "Problem",
    "Quadratic",
    "Regulariser",
    "RelGap",
    "Relative",
    "Sampler",
    "SamplesLoss",
    "SemiDiscrete",
    "SemiDiscreteEstimate",
    "SemiDiscreteSolution",
    "SemiDiscreteSolver",
    "SemiDiscreteState",
    "Sinkhorn",
    "SinkhornDivergence",
    "SmoothRegulariser",
    "Solution",
    "Solver",
    "SqEuclidean",
    "Status",
    "Stencil",
    "Steps",
    "StochasticSinkhorn",
    "SuggestedEps",
    "TransportLoss",
    "Unroll",
    "Until",
    "Update",
    "Upper",
    "Value",
    "WithinNoise",
    "default_solver",
    "histogram",
    "sampled_upper_bound",
    "solve",
    "suggest_eps",
]
