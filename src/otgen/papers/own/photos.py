"""Photographs: folders of colour images of 32 or 64 pixels."""

from __future__ import annotations

from otgen.data import Digits, ImageFolder, Normal
from otgen.methods import EOTGAN, Adam
from otgen.nets import Augmented, DcganCritic, DcganGenerator, Rescaled, SpectralNorm
from otgen.papers.recipe import Scale, recipe
from otgen.train import AverageStatistics, Duration, RunConfig, TrainerConfig


@recipe("photos", "a folder of photographs, 32 or 64 pixels, by EOT-GAN; give --data ImageFolder --data.folder FOLDER")
def photos(scale: Scale = Scale.CPU) -> RunConfig:
    """Photographs of one kind, some hundreds or more; what is the best after 20 minutes on two cores.

    It is the recipe of the digits with wider convolutions and more dimensions of the codes, and with what photographs
    need besides. The critic sees pixels centred and magnified: otherwise it is too flat to tell samples from
    photographs. And it sees each of them mirrored every second time, so that it knows twice as many.
    """
    smoke = scale is Scale.SMOKE
    adam = Adam(lr=2e-3, beta1=0.0, beta2=0.99, hold=0.5, end=0.1)
    critic = DcganCritic(width=4, hidden=(8,)) if smoke else DcganCritic(width=32, hidden=(256,))
    return RunConfig(
        # The digits come with the package; photographs do not.
        data=Digits(padding=2) if smoke else ImageFolder(folder="photos", size=32),
        latent=Normal(dim=64),
        generator=DcganGenerator(width=4, hidden=(16,)) if smoke else DcganGenerator(width=32, hidden=(256,)),
        method=EOTGAN(
            batch=32,
            critic=Augmented(net=Rescaled(net=SpectralNorm(net=critic), factor=8.0), shift=0.0),
            pull=0.0,
            max_steps=10,
            generator_optimizer=adam,
            critic_optimizer=adam,
        ),
        trainer=TrainerConfig(
            ema=0.999, ema_statistics=AverageStatistics.MEASURED, eval_samples=200 if smoke else 2000
        ),
        steps=20 if smoke else None,
        budget=None if smoke else Duration(1200 if scale is Scale.CPU else 4 * 3600),
    )
