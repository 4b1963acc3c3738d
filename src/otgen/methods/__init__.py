"""Training algorithms."""

from otgen.exports import exported
from otgen.methods.base import Batches as Batches
from otgen.methods.base import Logged as Logged
from otgen.methods.base import Method as Method
from otgen.methods.base import MethodState as MethodState
from otgen.methods.base import Player as Player
from otgen.methods.base import Update as Update
from otgen.methods.critic_grid import Cells as Cells
from otgen.methods.critic_grid import CriticGrid as CriticGrid
from otgen.methods.critic_grid import GridCritic as GridCritic
from otgen.methods.eot_gan import EOTGAN as EOTGAN
from otgen.methods.feature_game import FeatureGame as FeatureGame
from otgen.methods.feature_game import FeatureGameState as FeatureGameState
from otgen.methods.feature_game import Turns as Turns
from otgen.methods.neural_potentials import DualOracle as DualOracle
from otgen.methods.optimizers import SGD as SGD
from otgen.methods.optimizers import Adam as Adam
from otgen.methods.optimizers import OptimizerConfig as OptimizerConfig
from otgen.methods.ot_gan import OTGAN as OTGAN
from otgen.methods.penalty import GradientPenalty as GradientPenalty
from otgen.methods.pixel_sinkhorn import PixelSinkhorn as PixelSinkhorn
from otgen.methods.sco import SCO as SCO
from otgen.methods.sco import ScoState as ScoState
from otgen.methods.semi_discrete import CostUnit as CostUnit
from otgen.methods.semi_discrete import SemiDiscreteGAN as SemiDiscreteGAN
from otgen.methods.semi_discrete import SemiDiscreteGanState as SemiDiscreteGanState
from otgen.methods.seqsgda import Descent as Descent
from otgen.methods.seqsgda import SeqSGDA as SeqSGDA
from otgen.methods.seqsgda import SimSGDA as SimSGDA
from otgen.methods.sing import SiNG as SiNG
from otgen.methods.sinkhorn_autodiff import SinkhornAutoDiff as SinkhornAutoDiff
from otgen.methods.swgan import SWGAN as SWGAN
from otgen.methods.swgan import PotentialInput as PotentialInput
from otgen.methods.swgan import SWGANSinkhorn as SWGANSinkhorn
from otgen.methods.swgan import SwganState as SwganState
from otgen.methods.swgan_features_eq_46 import LearntFeatures as LearntFeatures
from otgen.methods.swgan_features_eq_46 import Signs as Signs
from otgen.methods.terms import Fake as Fake
from otgen.methods.terms import Real as Real
from otgen.methods.terms import SelfTerms as SelfTerms
from otgen.methods.terms import Term as Term
from otgen.methods.transport import TransportMethod as TransportMethod
from otgen.methods.transport import TransportState as TransportState
from otgen.methods.wgan import WGAN as WGAN
from otgen.methods.wgan import WGANGP as WGANGP
from otgen.methods.wgan import AdversarialState as AdversarialState
from otgen.methods.wgan import KantorovichRubinstein as KantorovichRubinstein
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
