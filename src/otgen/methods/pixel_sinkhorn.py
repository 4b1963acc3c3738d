"""The debiased Sinkhorn divergence in data space: no critic."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from otgen.methods.terms import SelfTerms, Term
from otgen.methods.transport import TransportMethod


@dataclass(frozen=True, kw_only=True)
class PixelSinkhorn(TransportMethod):
    """``min_theta S_eps(G_theta(q), p)`` on the samples themselves (Genevay et al. 2018, without learnt features).

    Attributes:
        self_terms: which two batches each self term of S compares. Independent ones keep the spread of the samples,
            which the bias of a batch shrinks, at the price of more noise.
    """

    self_terms: SelfTerms = SelfTerms.SAME

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return self.self_terms.divergence()
