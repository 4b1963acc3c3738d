"""Training algorithms."""

from otgen.methods.base import Adam, Batches, Logged, Method, MethodState, Player, Update
from otgen.methods.duals import DualOracle
from otgen.methods.learnt_features import LearntFeatures, Signs
from otgen.methods.penalty import GradientPenalty
from otgen.methods.pixel_sinkhorn import PixelSinkhorn
from otgen.methods.sinkhorn_autodiff import SinkhornAutoDiff
from otgen.methods.swgan import SWGAN, SWGANSinkhorn, SwganState
from otgen.methods.transport import Fake, GradientKind, Real, Term, TransportMethod, TransportState
from otgen.methods.wgan import WGAN, WGANGP, AdversarialState, KantorovichRubinstein

__all__ = [
    "SWGAN",
    "WGAN",
    "WGANGP",
    "Adam",
    "AdversarialState",
    "Batches",
    "DualOracle",
    "Fake",
    "GradientKind",
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
    "Signs",
    "SinkhornAutoDiff",
    "SwganState",
    "Term",
    "TransportMethod",
    "TransportState",
    "Update",
]
