"""Optimal transport between samples, differentiable, every value inside a certified interval.

>>> import torch
>>> from otgen.ot import Discrete, KL, solve
>>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.5]])
>>> solution = solve(Discrete(x, y, reg=KL(eps=0.1)))
>>> bool(solution.lower <= solution.value <= solution.upper)
True
"""

from otgen.exports import exported
from otgen.ot.continuous.barycentric_map import BarycentricMap as BarycentricMap
from otgen.ot.continuous.neural_dual import NeuralDual as NeuralDual
from otgen.ot.continuous.neural_dual import NeuralDualState as NeuralDualState
from otgen.ot.continuous.neural_dual import Upper as Upper
from otgen.ot.continuous.perceptron import Perceptron as Perceptron
from otgen.ot.continuous.potentials import FunctionPotentials as FunctionPotentials
from otgen.ot.continuous.problem import Continuous as Continuous
from otgen.ot.continuous.solution import ContinuousSolution as ContinuousSolution
from otgen.ot.continuous.within_noise import WithinNoise as WithinNoise
from otgen.ot.core.gradient_policy import Envelope as Envelope
from otgen.ot.core.gradient_policy import Gradient as Gradient
from otgen.ot.core.gradient_policy import Unroll as Unroll
from otgen.ot.core.interval import Estimate as Estimate
from otgen.ot.core.interval import Interval as Interval
from otgen.ot.core.iterate import Iterate as Iterate
from otgen.ot.core.loop import OnUnconverged as OnUnconverged
from otgen.ot.core.problem import Problem as Problem
from otgen.ot.core.problem import Sampler as Sampler
from otgen.ot.core.results import HistoryEntry as HistoryEntry
from otgen.ot.core.results import Status as Status
from otgen.ot.core.solver import Solver as Solver
from otgen.ot.core.stopping import MarginalError as MarginalError
from otgen.ot.core.stopping import MeanMass as MeanMass
from otgen.ot.core.stopping import RelGap as RelGap
from otgen.ot.core.stopping import Steps as Steps
from otgen.ot.core.stopping import Stopping as Stopping
from otgen.ot.costs.base import Cost as Cost
from otgen.ot.costs.base import CostRounding as CostRounding
from otgen.ot.costs.cosine import Cosine as Cosine
from otgen.ot.costs.l1 import L1 as L1
from otgen.ot.costs.lp_power import LpPower as LpPower
from otgen.ot.costs.pnorm import PNorm as PNorm
from otgen.ot.costs.sqeuclidean import SqEuclidean as SqEuclidean
from otgen.ot.discrete.certificate import Certificate as Certificate
from otgen.ot.discrete.certificate import certify as certify
from otgen.ot.discrete.dual_ascent import DualAscent as DualAscent
from otgen.ot.discrete.exact import Exact as Exact
from otgen.ot.discrete.gradient_error import GradientError as GradientError
from otgen.ot.discrete.newton import Newton as Newton
from otgen.ot.discrete.point_map import MapKind as MapKind
from otgen.ot.discrete.potentials import Potentials as Potentials
from otgen.ot.discrete.problem import Discrete as Discrete
from otgen.ot.discrete.sinkhorn.positive_features import PositiveFeatures as PositiveFeatures
from otgen.ot.discrete.sinkhorn.solver import Acceleration as Acceleration
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn as Sinkhorn
from otgen.ot.discrete.sinkhorn.solver import SinkhornUpdate as SinkhornUpdate
from otgen.ot.discrete.solution import Solution as Solution
from otgen.ot.discrete.solver import DiscreteSolver as DiscreteSolver
from otgen.ot.discrete.value_kind import ValueKind as ValueKind
from otgen.ot.grid.certificate import GridCertificate as GridCertificate
from otgen.ot.grid.deposit import Deposit as Deposit
from otgen.ot.grid.deposit import Outside as Outside
from otgen.ot.grid.deposit import histogram as histogram
from otgen.ot.grid.exact_line import GridExact1D as GridExact1D
from otgen.ot.grid.operator import Stencil as Stencil
from otgen.ot.grid.pdhg import GridPDHG as GridPDHG
from otgen.ot.grid.pdhg import StepNorm as StepNorm
from otgen.ot.grid.problem import GridW1 as GridW1
from otgen.ot.grid.solution import GridMemory as GridMemory
from otgen.ot.grid.solution import GridSolution as GridSolution
from otgen.ot.grid.solver import GridSolver as GridSolver
from otgen.ot.losses.combination import Combination as Combination
from otgen.ot.losses.divergences import OTLoss as OTLoss
from otgen.ot.losses.divergences import SinkhornDivergence as SinkhornDivergence
from otgen.ot.losses.divergences import TransportLoss as TransportLoss
from otgen.ot.losses.energy import MinibatchEnergyDistance as MinibatchEnergyDistance
from otgen.ot.losses.geomloss import SamplesLoss as SamplesLoss
from otgen.ot.losses.unbalanced import UnbalancedCombination as UnbalancedCombination
from otgen.ot.losses.unbalanced import UnbalancedDivergence as UnbalancedDivergence
from otgen.ot.losses.unbalanced import UnbalancedLoss as UnbalancedLoss
from otgen.ot.regularisers.base import Regulariser as Regulariser
from otgen.ot.regularisers.base import Relative as Relative
from otgen.ot.regularisers.base import SmoothRegulariser as SmoothRegulariser
from otgen.ot.regularisers.kl import KL as KL
from otgen.ot.regularisers.none import NoReg as NoReg
from otgen.ot.regularisers.quadratic import Quadratic as Quadratic
from otgen.ot.semi_discrete.estimate import SemiDiscreteEstimate as SemiDiscreteEstimate
from otgen.ot.semi_discrete.estimate import sampled_upper_bound as sampled_upper_bound
from otgen.ot.semi_discrete.potentials import AtomPotentials as AtomPotentials
from otgen.ot.semi_discrete.problem import SemiDiscrete as SemiDiscrete
from otgen.ot.semi_discrete.solution import SemiDiscreteSolution as SemiDiscreteSolution
from otgen.ot.semi_discrete.solvers import AveragedSGD as AveragedSGD
from otgen.ot.semi_discrete.solvers import SemiDiscreteSolver as SemiDiscreteSolver
from otgen.ot.semi_discrete.solvers import SemiDiscreteState as SemiDiscreteState
from otgen.ot.semi_discrete.solvers import StochasticSinkhorn as StochasticSinkhorn
from otgen.ot.solve import default_solver as default_solver
from otgen.ot.solve import solve as solve
from otgen.ot.suggest import SuggestedEps as SuggestedEps
from otgen.ot.suggest import suggest_eps as suggest_eps
from otgen.ot.unbalanced.certificate import UnbalancedCertificate as UnbalancedCertificate
from otgen.ot.unbalanced.certificate import certify_unbalanced as certify_unbalanced
from otgen.ot.unbalanced.newton import UnbalancedNewton as UnbalancedNewton
from otgen.ot.unbalanced.problem import Unbalanced as Unbalanced
from otgen.ot.unbalanced.sinkhorn import UnbalancedSinkhorn as UnbalancedSinkhorn
from otgen.ot.unbalanced.solution import UnbalancedSolution as UnbalancedSolution
from otgen.ot.unbalanced.solver import UnbalancedSolver as UnbalancedSolver
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
