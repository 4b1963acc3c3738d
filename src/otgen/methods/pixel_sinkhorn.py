"""The debiased Sinkhorn divergence in data space: no critic."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from otgen.methods.terms import DIVERGENCE, Term
from otgen.methods.transport import TransportMethod


@dataclass(frozen=True, kw_only=True)
class PixelSinkhorn(TransportMethod):
    """``min_theta S_eps(G_theta(q), p)`` on the samples themselves (Genevay et al. 2018, without learnt features)."""

    @override
    def generator_terms(self) -> tuple[Term, ...]:
        return DIVERGENCE
