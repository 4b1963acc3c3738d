"""Training algorithms."""

from otgen.methods.base import Adam, Batches, Logged, Method, MethodState, Player, Update
from otgen.methods.pixel_sinkhorn import PixelSinkhorn
from otgen.methods.sinkhorn_autodiff import SinkhornAutoDiff
from otgen.methods.transport import Fake, GradientKind, Real, Term, TransportMethod, TransportState

__all__ = [
    "Adam",
    "Batches",
    "Fake",
    "GradientKind",
    "Logged",
    "Method",
    "MethodState",
    "PixelSinkhorn",
    "Player",
    "Real",
    "SinkhornAutoDiff",
    "Term",
    "TransportMethod",
    "TransportState",
    "Update",
]
