"""The claims of Houdard et al. 2021, a module a topic."""

from otgen.claims.houdard.catalogue import THEOREMS as THEOREMS
from otgen.exports import exported

__all__ = exported(globals())
