"""The claims of Sanjabi et al. 2018, a module a topic."""

from otgen.claims.sanjabi.catalogue import THEOREMS

__all__ = ["THEOREMS"]
