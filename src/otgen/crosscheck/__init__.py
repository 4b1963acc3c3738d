"""One transport problem in other libraries' words, and their answers on this package's convention."""

from otgen.crosscheck.base import Answer, Peer, Task, Unavailable
from otgen.crosscheck.compare import PEERS, Report, Row, compare
from otgen.crosscheck.flash import FlashSinkhorn
from otgen.crosscheck.geomloss import GeomLoss
from otgen.crosscheck.ott import OttJax
from otgen.crosscheck.pot import PotExact, PotKernel, PotLog, PotQuadratic

__all__ = [
    "PEERS",
    "Answer",
    "FlashSinkhorn",
    "GeomLoss",
    "OttJax",
    "Peer",
    "PotExact",
    "PotKernel",
    "PotLog",
    "PotQuadratic",
    "Report",
    "Row",
    "Task",
    "Unavailable",
    "compare",
]
