"""The claims of Sanjabi et al. 2018, a module a topic."""

from otgen.claims.sanjabi.catalogue import THEOREMS as THEOREMS
from otgen.exports import exported

__all__ = exported(globals())
