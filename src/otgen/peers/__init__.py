"""One transport problem in other libraries' words, and their answers on this package's convention."""

from otgen.peers.base import Answer, Peer, Task, Unavailable
from otgen.peers.compare import PEERS, Report, Row, compare
from otgen.peers.flash import FlashSinkhorn
from otgen.peers.geomloss import GeomLoss
from otgen.peers.ott import OttJax
from otgen.peers.pot import PotExact, PotKernel, PotLog, PotQuadratic

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
