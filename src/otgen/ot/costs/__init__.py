"""Ground costs."""

from otgen.ot.costs.base import Cost
from otgen.ot.costs.cosine import Cosine
from otgen.ot.costs.l1 import L1
from otgen.ot.costs.lp_power import LpPower
from otgen.ot.costs.pnorm import PNorm
from otgen.ot.costs.sqeuclidean import SqEuclidean

__all__ = ["L1", "Cosine", "Cost", "LpPower", "PNorm", "SqEuclidean"]
