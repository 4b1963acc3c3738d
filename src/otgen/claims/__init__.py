"""What the papers claim, as computations that can disagree.

>>> from otgen.claims import CLAIMS, verify
>>> [finding] = verify([claim for claim in CLAIMS if claim.key == "S1"], n=20)
>>> print(finding.verdict)
true
"""

from otgen.claims.base import Claim, Paper, Trials, Verdict
from otgen.claims.relations import AtMost, Cited, Equal, Part, Relation, Slope, Standing
from otgen.claims.sanjabi import CLAIMS as _SANJABI
from otgen.claims.two_atoms import TwoAtoms
from otgen.claims.verify import Finding, verify

CLAIMS: tuple[Claim, ...] = (*_SANJABI,)
"""Every claim that is checked, paper by paper."""

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
