"""Regularisers of the transport plan."""

from otgen.ot.regularisers.base import Regulariser, Relative, SmoothRegulariser
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.regularisers.quadratic import Quadratic

__all__ = ["KL", "NoReg", "Quadratic", "Regulariser", "Relative", "SmoothRegulariser"]
