"""Training algorithms."""

from otgen.methods.base import Adam, Batches, Logged, Method, MethodState, Player, Update
from otgen.methods.critic_grid import Cells, CriticGrid
from otgen.methods.eot_gan import EOTGAN
from otgen.methods.feature_game import FeatureGame, FeatureGameState, Turns
from otgen.methods.learnt_features import LearntFeatures, Signs
from otgen.methods.neural_potentials import DualOracle
from otgen.methods.ot_gan import OTGAN
from otgen.methods.penalty import GradientPenalty
from otgen.methods.pixel_sinkhorn import PixelSinkhorn
from otgen.methods.sco import SCO, ScoState
from otgen.methods.semi_discrete import CostUnit, SemiDiscreteGAN, SemiDiscreteGanState
from otgen.methods.seqsgda import Descent, SeqSGDA, SimSGDA
from otgen.methods.sing import SiNG
from otgen.methods.sinkhorn_autodiff import SinkhornAutoDiff
from otgen.methods.swgan import SWGAN, SWGANSinkhorn, SwganState
from otgen.methods.terms import Fake, Real, SelfTerms, Term
from otgen.methods.transport import TransportMethod, TransportState
from otgen.methods.wgan import WGAN, WGANGP, AdversarialState, KantorovichRubinstein
from otgen.renamed import former_names

__all__ = [
    "EOTGAN",
    "OTGAN",
    "SCO",
    "SWGAN",
    "WGAN",
    "WGANGP",
    "Adam",
    "AdversarialState",
    "Batches",
    "Cells",
    "CostUnit",
    "CriticGrid",
    "Descent",
    "DualOracle",
    "Fake",
    "FeatureGame",
    "FeatureGameState",
    "GradientPenalty",
    "KantorovichRubinstein",
    "LearntFeatures",
    "Logged",
    "Method",
    "MethodState",
    "PixelSinkhorn",
    "Player",
    "Real",
    "SWGANSinkhorn",
    "ScoState",
    "SelfTerms",
    "SemiDiscreteGAN",
    "SemiDiscreteGanState",
    "SeqSGDA",
    "SiNG",
    "Signs",
    "SimSGDA",
    "SinkhornAutoDiff",
    "SwganState",
    "Term",
    "TransportMethod",
    "TransportState",
    "Turns",
    "Update",
]

__getattr__ = former_names(__name__)
