"""The methods of one objective for both players, each as a small case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from otgen import methods
from otgen.methods import EOTGAN, OTGAN, WGAN, WGANGP, Fake, FeatureGame, PixelSinkhorn, Real, SeqSGDA, SimSGDA, Term
from otgen.nets import MlpCritic, SpectralNorm
from otgen.ot import KL, Envelope


@dataclass(frozen=True, kw_only=True)
class Biased(methods.TransportMethod):
    """The entropic value alone, what is left of the divergence without its corrections: a method in three lines."""

    def generator_terms(self) -> tuple[Term, ...]:
        return (Term(1.0, Fake(), Real()),)


EPS = 0.5
SMALL = MlpCritic(widths=(8,))
PIXEL = PixelSinkhorn(batch=24, reg=KL(eps=EPS), max_steps=200)
LEARNT = methods.SinkhornAutoDiff(
    batch=24, reg=KL(eps=EPS), max_steps=30, critic=SMALL, features=3, n_critic=2, clip=0.5
)
TRANSPORT = {"pixel": PIXEL, "learnt, unrolled": LEARNT, "learnt, envelope": replace(LEARNT, gradient=Envelope())}
METHODS = {
    **TRANSPORT,
    "WGAN": WGAN(batch=24, critic=SMALL, n_critic=2, clip=0.5),
    "WGAN-GP": WGANGP(batch=24, critic=SMALL, n_critic=2),
}

# Games on learnt features.
COMMON: dict[str, Any] = {"batch": 24, "reg": KL(eps=EPS), "features": 3, "max_steps": 300}
SEQUENTIAL = SeqSGDA(critic=SpectralNorm(net=SMALL), n_critic=3, gradient=Envelope(), **COMMON)
SIMULTANEOUS = SimSGDA(critic=SpectralNorm(net=SMALL), gradient=Envelope(), **COMMON)
ENERGY = OTGAN(critic=SMALL, critic_every=3, **COMMON)
HINGED = EOTGAN(critic=SMALL, **COMMON)
GAMES: dict[str, FeatureGame] = {
    "SeqSGDA": SEQUENTIAL,
    "SimSGDA": SIMULTANEOUS,
    "OT-GAN": replace(ENERGY, critic_every=1),
    "EOT-GAN": HINGED,
}
