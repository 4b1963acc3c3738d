"""What the papers claim, as computations that can disagree."""

from otgen.claims.two_atoms import TwoAtoms

__all__ = ["TwoAtoms"]
