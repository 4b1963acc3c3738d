"""One transport problem in other libraries' words, and their answers on this package's convention."""

from otgen.exports import exported
from otgen.peers.base import Answer as Answer
from otgen.peers.base import Peer as Peer
from otgen.peers.base import Task as Task
from otgen.peers.base import Unavailable as Unavailable
from otgen.peers.compare import PEERS as PEERS
from otgen.peers.compare import Report as Report
from otgen.peers.compare import Row as Row
from otgen.peers.compare import compare as compare
from otgen.peers.flash import FlashSinkhorn as FlashSinkhorn
from otgen.peers.geomloss import GeomLoss as GeomLoss
from otgen.peers.ott import OttJax as OttJax
from otgen.peers.pot import PotExact as PotExact
from otgen.peers.pot import PotKernel as PotKernel
from otgen.peers.pot import PotLog as PotLog
from otgen.peers.pot import PotQuadratic as PotQuadratic

__all__ = exported(globals())
