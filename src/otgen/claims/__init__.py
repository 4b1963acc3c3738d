"""What the papers claim, as computations that can disagree.

>>> from otgen.claims import THEOREMS, verify
>>> [finding] = verify([theorem for theorem in THEOREMS if theorem.key == "S1"], n=20)
>>> print(finding.status)
true
"""

from otgen.claims.base import Paper as Paper
from otgen.claims.base import Theorem as Theorem
from otgen.claims.base import TheoremStatus as TheoremStatus
from otgen.claims.base import Trials as Trials
from otgen.claims.catalogue import THEOREMS as THEOREMS
from otgen.claims.relations import AtMost as AtMost
from otgen.claims.relations import Cited as Cited
from otgen.claims.relations import Equal as Equal
from otgen.claims.relations import Part as Part
from otgen.claims.relations import Relation as Relation
from otgen.claims.relations import Slope as Slope
from otgen.claims.relations import Standing as Standing
from otgen.claims.two_atoms import TwoAtoms as TwoAtoms
from otgen.claims.verify import Finding as Finding
from otgen.claims.verify import verify as verify
from otgen.exports import exported
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
