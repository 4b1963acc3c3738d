"""Toy laws: seconds of training, and the answer is known."""

from __future__ import annotations

from otgen.data import Gaussians25, Normal
from otgen.methods import Adam, PixelSinkhorn
from otgen.nets import MlpGenerator
from otgen.ot import KL, Sinkhorn, SinkhornUpdate
from otgen.papers.recipe import Scale, recipe
from otgen.train import RunConfig, TrainerConfig


@recipe("toy.gaussians25", "25 Gaussians on a grid by the debiased Sinkhorn divergence")
def gaussians25(scale: Scale = Scale.CPU) -> RunConfig:
    """The toy of the WGAN-GP code."""
    smoke = scale is Scale.SMOKE
    return RunConfig(
        data=Gaussians25(),
        latent=Normal(dim=4),
        generator=MlpGenerator(widths=(128, 128, 128)),
        method=PixelSinkhorn(
            batch=64 if smoke else 512,
            reg=KL(eps=0.01),
            solver=Sinkhorn(update=SinkhornUpdate.SYMMETRIC, anneal=0.7),
            max_steps=25,
            generator_optimizer=Adam(lr=2e-3, beta1=0.5, beta2=0.99),
        ),
        trainer=TrainerConfig(ema=0.99, eval_samples=500 if smoke else 5000),
        steps=20 if smoke else 2000,
    )
