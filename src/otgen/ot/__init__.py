"""Optimal transport between samples, differentiable, every value inside a certified interval.

>>> import torch
>>> from otgen.ot import Discrete, KL, solve
>>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.5]])
>>> solution = solve(Discrete(x, y, reg=KL(eps=0.1)))
>>> bool(solution.lower <= solution.value <= solution.upper)
True
"""

from otgen.ot.continuous.barycentric_map import BarycentricMap
from otgen.ot.continuous.neural_dual import NeuralDual, NeuralDualState, Upper
from otgen.ot.continuous.perceptron import Perceptron
from otgen.ot.continuous.potentials import FunctionPotentials
from otgen.ot.continuous.problem import Continuous
from otgen.ot.continuous.solution import ContinuousSolution
from otgen.ot.continuous.within_noise import WithinNoise
from otgen.ot.core.gradient import Envelope, Gradient, Unroll
from otgen.ot.core.interval import Estimate, Interval
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.loop import OnUnconverged
from otgen.ot.core.problem import Problem, Sampler
from otgen.ot.core.results import HistoryEntry, Status
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import MarginalError, MeanMass, RelGap, Steps, Stopping
from otgen.ot.costs.base import Cost
from otgen.ot.costs.cosine import Cosine
from otgen.ot.costs.l1 import L1
from otgen.ot.costs.lp_power import LpPower
from otgen.ot.costs.pnorm import PNorm
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.certificate import Certificate, certify
from otgen.ot.discrete.dual_ascent import DualAscent
from otgen.ot.discrete.exact import Exact
from otgen.ot.discrete.gradient_error import GradientError
from otgen.ot.discrete.newton import Newton
from otgen.ot.discrete.positive_features import PositiveFeatures
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.solver import Acceleration, Sinkhorn, SinkhornUpdate
from otgen.ot.discrete.solution import Solution
from otgen.ot.discrete.solver import DiscreteSolver
from otgen.ot.discrete.value_kind import ValueKind
from otgen.ot.grid.certificate import GridCertificate
from otgen.ot.grid.deposit import Deposit, Outside, histogram
from otgen.ot.grid.exact_line import GridExact1D
from otgen.ot.grid.operator import Stencil
from otgen.ot.grid.pdhg import GridPDHG, StepNorm
from otgen.ot.grid.problem import GridW1
from otgen.ot.grid.solution import GridMemory, GridSolution
from otgen.ot.grid.solver import GridSolver
from otgen.ot.losses.combination import Combination
from otgen.ot.losses.divergences import OTLoss, SinkhornDivergence, TransportLoss
from otgen.ot.losses.energy import MinibatchEnergyDistance
from otgen.ot.losses.geomloss import SamplesLoss
from otgen.ot.regularisers.base import Regulariser, Relative, SmoothRegulariser
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.regularisers.quadratic import Quadratic
from otgen.ot.semi_discrete.estimate import SemiDiscreteEstimate
from otgen.ot.semi_discrete.potentials import AtomPotentials
from otgen.ot.semi_discrete.problem import SemiDiscrete
from otgen.ot.semi_discrete.solution import SemiDiscreteSolution
from otgen.ot.semi_discrete.solvers import AveragedSGD, SemiDiscreteSolver, SemiDiscreteState, StochasticSinkhorn
from otgen.ot.semi_discrete.upper_bound import sampled_upper_bound
from otgen.ot.solve import default_solver, solve
from otgen.ot.suggest import SuggestedEps, suggest_eps
from otgen.renamed import former_names

__all__ = [
    "KL",
    "L1",
    "Acceleration",
    "AtomPotentials",
    "AveragedSGD",
    "BarycentricMap",
    "Certificate",
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
    "HistoryEntry",
    "Interval",
    "Iterate",
    "LpPower",
    "MarginalError",
    "MeanMass",
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
    "SinkhornUpdate",
    "SmoothRegulariser",
    "Solution",
    "Solver",
    "SqEuclidean",
    "Status",
    "Stencil",
    "StepNorm",
    "Steps",
    "StochasticSinkhorn",
    "Stopping",
    "SuggestedEps",
    "TransportLoss",
    "Unroll",
    "Upper",
    "ValueKind",
    "WithinNoise",
    "certify",
    "default_solver",
    "histogram",
    "sampled_upper_bound",
    "solve",
    "suggest_eps",
]

__getattr__ = former_names(__name__)
