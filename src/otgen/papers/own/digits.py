"""Digits: the default recipe, one on learnt features without a score, and one on pixels."""

from __future__ import annotations

from dataclasses import replace

from otgen.data import Digits, Normal
from otgen.methods import EOTGAN, Adam, PixelSinkhorn, SinkhornAutoDiff
from otgen.nets import DcganCritic, DcganGenerator, MlpGenerator, SpectralNorm
from otgen.ot import KL, Sinkhorn, SinkhornUpdate
from otgen.papers.recipe import Scale, recipe
from otgen.train import Duration, RunConfig, TrainerConfig


@recipe("digits", "real digits by EOT-GAN: the divergence on learnt features, and a hinge loss (the default)")
def digits(scale: Scale = Scale.CPU) -> RunConfig:
    """5,000 real MNIST digits; what is the best after 150 seconds on two cores.

    The features learn from the score alone (``pull = 0``), which is cheaper and no worse here. What the quality rests
    on: steps without momentum, small batches and so many of them, codes of few dimensions, linear layers in both
    networks, and in the generator the normalisation of each of their units by itself (see
    :class:`otgen.nets.DcganGenerator`).
    """
    smoke = scale is Scale.SMOKE
    adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99, hold=0.5, end=0.1)
    return RunConfig(
        data=Digits(),
        latent=Normal(dim=16),
        generator=DcganGenerator(width=4, hidden=(16,)) if smoke else DcganGenerator(width=16, hidden=(512,)),
        method=EOTGAN(
            batch=32,
            critic=SpectralNorm(net=DcganCritic(width=4 if smoke else 16, hidden=(8,) if smoke else (256,))),
            pull=0.0,
            max_steps=10,
            generator_optimizer=adam,
            critic_optimizer=adam,
        ),
        trainer=TrainerConfig(ema=0.998, eval_samples=200 if smoke else 2000),
        steps=20 if smoke else None,
        budget=None if smoke else Duration(150 if scale is Scale.CPU else 3600),
    )


@recipe("digits.features", "real digits by Sinkhorn-AutoDiff: the same divergence on learnt features")
def features(scale: Scale = Scale.CPU) -> RunConfig:
    """5,000 real MNIST digits, an adversarial feature map with clipped weights."""
    same, smoke = pixels(scale), scale is Scale.SMOKE
    adam = Adam(lr=5e-4, beta1=0.5, beta2=0.99)
    method = SinkhornAutoDiff(
        batch=32 if smoke else 100,
        critic=DcganCritic(width=8 if smoke else 32),
        features=16,
        n_critic=2 if smoke else 3,
        generator_optimizer=adam,
        critic_optimizer=adam,
    )
    return replace(same, method=method, steps=10 if smoke else None)


@recipe("pixels", "real digits by the debiased Sinkhorn divergence on pixels; for samples of any kind")
def pixels(scale: Scale = Scale.CPU) -> RunConfig:
    """5,000 real MNIST digits, no critic; with fully connected layers, for tables and points as well as for images."""
    same, smoke = digits(scale), scale is Scale.SMOKE
    method = PixelSinkhorn(
        batch=64 if smoke else 500,
        reg=KL(eps=1.0),
        solver=Sinkhorn(update=SinkhornUpdate.SYMMETRIC, anneal=0.6),
        max_steps=30,
        generator_optimizer=Adam(lr=1e-3, beta1=0.5, beta2=0.99),
    )
    return replace(
        same,
        generator=MlpGenerator(widths=(64,) if smoke else (256, 512, 1024)),
        method=method,
        trainer=replace(same.trainer, ema=0.99),
    )
