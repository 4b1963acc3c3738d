"""The methods of one objective for both players, each as a small case."""

from __future__ import annotations

from dataclasses import replace

from otgen.methods import WGAN, WGANGP, PixelSinkhorn, SinkhornAutoDiff
from otgen.nets import MlpCritic
from otgen.ot import KL, Envelope

EPS = 0.5
PIXEL = PixelSinkhorn(batch=24, reg=KL(eps=EPS), max_steps=200)
LEARNT = SinkhornAutoDiff(
    batch=24, reg=KL(eps=EPS), max_steps=30, critic=MlpCritic(widths=(8,)), features=3, n_critic=2, clip=0.5
)
TRANSPORT = {"pixel": PIXEL, "learnt, unrolled": LEARNT, "learnt, envelope": replace(LEARNT, gradient=Envelope())}
METHODS = {
    **TRANSPORT,
    "WGAN": WGAN(batch=24, critic=MlpCritic(widths=(8,)), n_critic=2, clip=0.5),
    "WGAN-GP": WGANGP(batch=24, critic=MlpCritic(widths=(8,)), n_critic=2),
}
