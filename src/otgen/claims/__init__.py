"""What the papers claim, as computations that can disagree.

>>> from otgen.claims import CLAIMS, verify
>>> [finding] = verify([claim for claim in CLAIMS if claim.key == "S1"], n=20)
>>> print(finding.verdict)
true
"""

from otgen.claims.base import Claim, Paper, Trials, Verdict
from otgen.claims.catalogue import CLAIMS
from otgen.claims.relations import AtMost, Cited, Equal, Part, Relation, Slope, Standing
from otgen.claims.two_atoms import TwoAtoms
from otgen.claims.verify import Finding, verify

__all__ = [
    "CLAIMS",
    "AtMost",
    "Cited",
    "Claim",
    "Equal",
    "Finding",
    "Paper",
    "Part",
    "Relation",
    "Slope",
    "Standing",
    "Trials",
    "TwoAtoms",
    "Verdict",
    "verify",
]
