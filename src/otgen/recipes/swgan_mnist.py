"""The runs of SWGAN's experiment on MNIST (Sanjabi et al. 2018, Figure 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from otgen.data import Digits, Mnist, Normal, Source
from otgen.methods import (
    SWGAN,
    WGANGP,
    Adam,
    DualOracle,
    GradientKind,
    LearntFeatures,
    Method,
    SinkhornAutoDiff,
    SWGANSinkhorn,
)
from otgen.nets import CriticNorm, HeadOf, SanjabiMnistCritic, SanjabiMnistGenerator, TrunkOf
from otgen.ot import KL, Cosine, Cost, MarginalError, Relative
from otgen.recipes.base import Scale
from otgen.train import RunConfig, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class SwganMnist:
    """A panel of SWGAN, as a function of the scale: Table 2 at the scale of the paper.

    Attributes:
        cost: on pixels or on features.
        latent: on features, learnt by (46).
        sinkhorn: descend the Sinkhorn loss, Algorithm 2, rather than the plain value, Algorithm 1.
    """

    cost: Cost
    latent: bool = False
    sinkhorn: bool = False

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        paper, net = scale is Scale.PAPER, _critic(scale)
        potential = HeadOf(net=net) if self.latent else net
        method = SWGANSinkhorn if self.sinkhorn else SWGAN
        return _run(
            method(
                batch=_batch(scale),
                cost=self.cost,
                # The table has one weight for both costs, 0.5, which is most of the mean of one and little of the
                # other's.
                reg=KL(eps=0.5) if paper else KL(eps=Relative(0.1)),
                oracle=DualOracle(
                    f=potential,
                    g=potential,
                    most=5 if paper else 3,
                    until=MarginalError(0.2),
                    check_every=5 if paper else 3,
                    relative=True,
                    optimizer=_adam(scale, 2e-4, 1e-3),
                ),
                features=LearntFeatures(net=net, every=2 if paper else 5, optimizer=_adam(scale, 2e-4, 2e-4))
                if self.latent
                else None,
                pool=0 if paper else 2 * _batch(scale),
                support=2000 if paper else 128,
                report_every=50 if paper else 100,
                generator_optimizer=_adam(scale, 2e-4, 1e-3),
            ),
            scale,
        )


def swgan_fig1(scale: Scale = Scale.CPU) -> RunConfig:
    """The main panel of the figure: cosine cost on learnt features, Sinkhorn loss."""
    return SwganMnist(cost=Cosine(), latent=True, sinkhorn=True)(scale)


def sinkhorn_solver_mnist(scale: Scale = Scale.CPU) -> RunConfig:
    """The Sinkhorn solver on learnt features, with the same networks: their trunk is the feature map."""
    net = _critic(scale)
    return _run(
        SinkhornAutoDiff(
            batch=_batch(scale),
            cost=Cosine(),
            reg=KL(eps=0.5),
            critic=TrunkOf(net=net),
            features=net.trunk_features((1, 28, 28)),
            gradient=GradientKind.UNROLL,
            n_critic=5 if scale is Scale.PAPER else 1,
            critic_optimizer=_adam(scale, 2e-4, 2e-4),
            generator_optimizer=_adam(scale, 2e-4, 1e-3),
        ),
        scale,
    )


def wgan_gp_mnist(scale: Scale = Scale.CPU) -> RunConfig:
    """WGAN-GP with the same networks, but that layer normalisation takes the place of the critic's batch one."""
    return _run(
        WGANGP(
            batch=_batch(scale),
            n_critic=5 if scale is Scale.PAPER else 3,
            critic=replace(_critic(scale), norm=CriticNorm.LAYER),
            critic_optimizer=_adam(scale, 2e-4, 5e-4),
            generator_optimizer=_adam(scale, 2e-4, 5e-4),
        ),
        scale,
    )


def _run(method: Method, scale: Scale) -> RunConfig:
    smoke = scale is Scale.SMOKE
    data: Source = Digits() if smoke else Mnist(folder="data/mnist", download=True)
    width, kernel = _size(scale)
    return RunConfig(
        data=data,
        latent=Normal(dim=128),
        generator=SanjabiMnistGenerator(width=width, kernel=kernel),
        method=method,
        trainer=TrainerConfig(ema=0.99, log_every=50 if smoke else 100, eval_samples=200 if smoke else 2000),
        steps={Scale.SMOKE: 5, Scale.CPU: 2000, Scale.PAPER: 50_000}[scale],
    )


def _critic(scale: Scale) -> SanjabiMnistCritic:
    width, kernel = _size(scale)
    # No gain in the layer normalisation: (46) has no bound under L1 with one.
    return SanjabiMnistCritic(width=width, kernel=kernel, affine=False)


def _size(scale: Scale) -> tuple[int, int]:
    """Width and kernel: the paper's, a quarter of its width, and next to nothing."""
    return {Scale.SMOKE: (4, 3), Scale.CPU: (16, 3), Scale.PAPER: (64, 5)}[scale]


def _batch(scale: Scale) -> int:
    return 10 if scale is Scale.SMOKE else 100


def _adam(scale: Scale, paper: float, short: float) -> Adam:
    """Table 2's Adam, and one for a run of a twenty-fifth of its length."""
    if scale is Scale.PAPER:
        return Adam(lr=paper, beta1=0.0, beta2=0.95)
    return Adam(lr=short, beta1=0.0, beta2=0.95, hold=0.5, end=0.1)
