"""The runs of SeqSGDA's experiments, and of the methods it is measured against (Adnan et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from otgen import methods, nets
from otgen.data import Digits, ImageFolder, Mnist, Normal, Source
from otgen.methods import Adam, Method
from otgen.ot import KL, Envelope, PNorm, Relative, Sinkhorn, SinkhornUpdate, SqEuclidean, Unroll
from otgen.papers.recipe import Scale
from otgen.papers.swgan.image_panels import oracle_of
from otgen.train import Duration, RunConfig, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the runs of one comparison share: the data, the networks, batches, step sizes and time.

    Attributes:
        scale: how much computing a run may take.
        colour: photographs of cats, with the residual networks at the paper's scale, instead of digits.
        seconds: training time at scale cpu.
    """

    scale: Scale
    colour: bool = False
    seconds: int = 150

    @property
    def paper(self) -> bool:
        """Whether this is the paper's scale."""
        return self.scale is Scale.PAPER

    @property
    def smoke(self) -> bool:
        """Whether a run only shows that it runs."""
        return self.scale is Scale.SMOKE

    @property
    def batch(self) -> int:
        """Samples of each law in an update: m."""
        if self.paper:
            return 64 if self.colour else 100
        return 16 if self.smoke else 64

    def data(self) -> Source:
        """The images."""
        if self.colour:
            return ImageFolder(folder="data/cats", size=32)
        return Mnist(folder="data/mnist", download=True, padding=2) if self.paper else Digits()

    def generator(self) -> nets.GeneratorNet:
        """The paper's (Tables 2 and 3), or one that learns in a minute."""
        if self.paper:
            return nets.SeqSGDAResnetGenerator() if self.colour else nets.SeqSGDADcganGenerator()
        return (
            nets.DcganGenerator(width=4, hidden=(16,)) if self.smoke else nets.DcganGenerator(width=16, hidden=(512,))
        )

    def critic(self) -> nets.CriticNet:
        """Likewise, without a normalisation."""
        if self.paper:
            return nets.SeqSGDAResnetCritic() if self.colour else nets.SeqSGDADcganCritic()
        return nets.DcganCritic(width=4, hidden=(8,)) if self.smoke else nets.DcganCritic(width=16, hidden=(256,))

    def adam(self, lr: float = 1e-3) -> Adam:
        """(27), or a larger step that falls in the second half of a short run."""
        return Adam(lr=1e-4, beta1=0.5) if self.paper else Adam(lr=lr, beta1=0.0, beta2=0.99, hold=0.5, end=0.1)

    def run(self, method: Method) -> RunConfig:
        """A method on this data, with these networks."""
        smoke = self.smoke
        return RunConfig(
            data=self.data(),
            holdout=0.0,  # the paper trains on all images
            latent=Normal(dim=100 if self.paper else 16),
            generator=self.generator(),
            method=method,
            trainer=TrainerConfig(ema=0.998, log_every=50 if smoke else 100, eval_samples=200 if smoke else 2000),
            steps={Scale.SMOKE: 5, Scale.PAPER: 500_000}.get(self.scale),
            budget=Duration(self.seconds) if self.scale is Scale.CPU else None,
        )


def game(scale: Scale = Scale.CPU, *, method: Callable[[Setting], Method], **setting: Any) -> RunConfig:
    """A run of a comparison of methods.

    Args:
        scale: how much computing it may take.
        method: from what the runs share to the method.
        **setting: what differs from the other comparisons, see :class:`Setting`.
    """
    shared = Setting(scale=scale, **setting)
    return shared.run(method(shared))


def seqsgda(setting: Setting, **changes: Any) -> methods.SeqSGDA:
    """SeqSGDA with (27) of the paper; in a short run p = 1, one critic update, and eps a share of the mean cost.

    Args:
        setting: what the runs of a comparison share.
        **changes: hyper-parameters that differ.
    """
    paper = setting.paper
    adam = setting.adam(2e-3)
    method = methods.SeqSGDA(
        batch=setting.batch,
        # The divergence of p = 2 vanishes like a square when the laws get close, and its direction with it.
        cost=SqEuclidean() if paper else PNorm(p=1),
        critic=nets.SpectralNorm(net=setting.critic()),
        features=100 if paper else 16,
        reg=KL(eps=1.0 if paper else Relative(0.05)),
        gradient=Unroll() if paper else Envelope(),
        n_critic=10 if paper else 1,
        generator_optimizer=adam,
        critic_optimizer=adam,
    )
    return replace(method, **changes)


def seqsgda_large(setting: Setting) -> methods.SeqSGDA:
    """SeqSGDA in short runs on batches that its self terms, of a batch with itself, need.

    Step sizes and regularisation weight were chosen for them: there the mean cost and 1e-3 go further.
    """
    if setting.paper:
        return seqsgda(setting)
    adam, reg = setting.adam(), KL(eps=Relative(1.0))
    return seqsgda(setting, batch=4 * setting.batch, reg=reg, generator_optimizer=adam, critic_optimizer=adam)


def seqsgda_weighted(setting: Setting, short: Relative, paper: float) -> methods.SeqSGDA:
    """SeqSGDA with a regularisation weight for short runs, and one for the paper's scale."""
    return seqsgda(setting, reg=KL(eps=paper if setting.paper else short))


def sinkhorn_autodiff(setting: Setting) -> methods.SinkhornAutoDiff:
    """Genevay et al. 2018, on the batches of SeqSGDA; the clipping is ours.

    In a short run on digits the features learn at a fortieth of the generator's step size: of those that learn faster,
    under any clipping that was tried, the samples become alike. Photographs keep the settings of small batches, as
    SeqSGDA on them does.
    """
    same = seqsgda(setting) if setting.colour else seqsgda_large(setting)
    shared = ("batch", "features", "cost", "reg", "gradient", "n_critic")
    return methods.SinkhornAutoDiff(
        **{name: getattr(same, name) for name in shared},
        critic=setting.critic(),
        clip=0.05 if setting.paper else 0.1,
        generator_optimizer=setting.adam(2e-3),
        critic_optimizer=setting.adam() if setting.colour else setting.adam(5e-5),
    )


def ot_gan(setting: Setting) -> methods.OTGAN:
    """Salimans et al. 2018; with a critic as fast as the generator one run in three was lost."""
    return methods.OTGAN(
        batch=setting.batch,
        critic=setting.critic(),
        generator_optimizer=setting.adam(),
        critic_optimizer=setting.adam(3e-4),
    )


def eot_gan(setting: Setting) -> methods.EOTGAN:
    """The Sinkhorn divergence with hinge losses; the features of a short run learn from the score alone."""
    return methods.EOTGAN(
        batch=setting.batch,
        critic=nets.SpectralNorm(net=setting.critic()),
        pull=0.01 if setting.paper else 0.0,
        max_steps=10,
        generator_optimizer=setting.adam(2e-3),
        critic_optimizer=setting.adam(2e-3),
    )


def swgan_sinkhorn(setting: Setting) -> methods.SWGANSinkhorn:
    """Sanjabi et al. 2018, Algorithm 2, on pixels: the critic's network, with one output, is each potential."""
    return methods.SWGANSinkhorn(
        batch=setting.batch,
        cost=SqEuclidean(),  # smooth; under L1, whose direction is a sign at each pixel, few samples can be read
        reg=KL(eps=Relative(0.05)),
        oracle=oracle_of(setting.critic(), 3, setting.adam(3e-4)),
        pool=2 * setting.batch,
        support=32 if setting.smoke else 128,
        report_every=100,
        generator_optimizer=setting.adam(),
    )


def wgan_gp(setting: Setting) -> methods.WGANGP:
    """Gulrajani et al. 2017."""
    return methods.WGANGP(
        batch=setting.batch,
        critic=setting.critic(),
        n_critic=5 if setting.paper else 2,
        generator_optimizer=setting.adam(),
        critic_optimizer=setting.adam(),
    )


def pixel_sinkhorn(setting: Setting) -> methods.PixelSinkhorn:
    """The divergence on pixels, on batches that it needs and that cost it little."""
    return methods.PixelSinkhorn(
        batch=4 * setting.batch,
        reg=KL(eps=1.0),
        solver=Sinkhorn(update=SinkhornUpdate.SYMMETRIC, anneal=0.6),
        max_steps=30,
        generator_optimizer=setting.adam(),
    )
