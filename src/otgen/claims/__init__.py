"""What the papers claim, as computations that can disagree.

>>> from otgen.claims import THEOREMS, verify
>>> [finding] = verify([theorem for theorem in THEOREMS if theorem.key == "S1"], n=20)
>>> print(finding.status)
true
"""

from otgen.claims.base import Paper, Theorem, TheoremStatus, Trials
from otgen.claims.catalogue import THEOREMS
from otgen.claims.relations import AtMost, Cited, Equal, Part, Relation, Slope, Standing
from otgen.claims.two_atoms import TwoAtoms
from otgen.claims.verify import Finding, verify
from otgen.renamed import former_names

__all__ = [
    "THEOREMS",
    "AtMost",
    "Cited",
    "Equal",
    "Finding",
    "Paper",
    "Part",
    "Relation",
    "Slope",
    "Standing",
    "Theorem",
    "TheoremStatus",
    "Trials",
    "TwoAtoms",
    "verify",
]

__getattr__ = former_names(__name__)
