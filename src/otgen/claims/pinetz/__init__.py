"""The claims of Pinetz et al. 2018, a module a topic."""

from otgen.claims.pinetz.catalogue import THEOREMS as THEOREMS
from otgen.exports import exported

__all__ = exported(globals())
