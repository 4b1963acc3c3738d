"""The runs of SWGAN's experiments (Sanjabi et al. 2018)."""

from __future__ import annotations

from dataclasses import replace

from otgen.data import Gaussians25, Normal, Source, Uniform
from otgen.methods import SWGAN, WGANGP, Adam, DualOracle, GradientPenalty
from otgen.nets import Activation, MlpCritic, MlpGenerator
from otgen.ot import L1, MarginalError, Quadratic, Steps
from otgen.papers.recipe import Scale
from otgen.train import RunConfig, TrainerConfig
from otgen.train.config import Duration

# Half width of the cube of SWGAN's codes in short runs.
_HALF = 2.25


def swgan_fig3(scale: Scale = Scale.CPU) -> RunConfig:
    """Sanjabi et al. 2018, Appendix K; at the scale of the paper with Table 1 and its networks.

    On two cores, in a minute, and for two latent dimensions as for four: 5 updates of the potentials a generator step,
    on batches of twice the paper's, instead of at most 20; five hidden layers in the generator instead of two, codes
    uniform on a cube, step sizes that fall, and an eps that falls from ten times its value, which spreads the samples
    over the modes before they gather on points. Two dimensions are the harder: noise in the potentials, of few updates,
    small batches or large steps, moves all samples of a mode to its neighbour at once, and they hardly come back.
    Smaller steps of the generator leave more samples between the modes, larger ones lose modes; the more layers, the
    fewer samples between the modes at equal steps.
    """
    smoke, paper = scale is Scale.SMOKE, scale is Scale.PAPER
    adam = Adam(lr=3e-3, beta1=0.5, beta2=0.9)
    if paper:
        oracle, descent = DualOracle(most=20, until=MarginalError(0.6)), adam
    else:
        oracle = DualOracle(most=5, until=Steps(), optimizer=replace(adam, lr=2e-3, hold=0.4, end=0.1))
        descent = replace(adam, lr=1.7e-3, hold=0.4, end=0.05)
    return RunConfig(
        data=Gaussians25(),
        latent=_latent(4, scale, half=_HALF),
        generator=_generator(2 if paper else 5),
        method=SWGAN(
            batch={Scale.SMOKE: 32, Scale.CPU: 256, Scale.PAPER: 128}[scale],
            cost=L1(),
            reg=Quadratic(eps=0.01),
            support=64 if smoke else 256,
            oracle=oracle,
            anneal_from=1.0 if paper else 10.0,
            anneal_steps=0 if paper else 1000,
            report_every=100 if scale is Scale.CPU else 50,
            generator_optimizer=descent,
        ),
        trainer=TrainerConfig(ema=0.999, eval_samples=500 if smoke else 5000),
        steps={Scale.SMOKE: 10, Scale.PAPER: 10_000}.get(scale),
        budget=Duration(60) if scale is Scale.CPU else None,
    )


def swgan_fig3_d2(scale: Scale = Scale.CPU) -> RunConfig:
    """The same with two latent dimensions, as many as the data have: every other hyper-parameter stays."""
    return replace(swgan_fig3(scale), latent=_latent(2, scale, half=_HALF))


def wgan_gp_fig3(scale: Scale = Scale.CPU) -> RunConfig:
    """WGAN-GP on the same data for the same time; at the paper's scale with the same generator for 30,000 steps.

    The paper tuned it by hand and does not say to what. Weight of the penalty and activation of the critic are those
    of the WGAN-GP authors' toy; the rest we chose. At scale cpu some thirty settings were tried, for each dimension by
    itself: step sizes of 1e-3 to 3e-3, 2 to 8 critic updates, penalties of 0.03 to 1, critics of 128 and 256, batches
    of 64 and 128, normal codes and cubes of 2 to 5, three and four hidden layers in the generator.
    """
    return _wgan_gp(scale, dim=4, lr=2e-3, n_critic=3)


def wgan_gp_fig3_d2(scale: Scale = Scale.CPU) -> RunConfig:
    """With two latent dimensions; at scale cpu with the step size and critic updates that were best there."""
    return _wgan_gp(scale, dim=2, lr=3e-3, n_critic=5)


def _wgan_gp(scale: Scale, *, dim: int, lr: float, n_critic: int) -> RunConfig:
    """A step size and a number of critic updates for short runs; the paper's scale has one of each."""
    same, smoke, paper = swgan_fig3(scale), scale is Scale.SMOKE, scale is Scale.PAPER
    adam = Adam(lr=1e-4 if paper else lr, beta1=0.5, beta2=0.9)
    return replace(
        same,
        latent=_latent(dim, scale, half=3.0),
        generator=_generator(2 if paper else 3),
        method=WGANGP(
            batch=32 if smoke else 256 if paper else 128,
            n_critic=5 if paper else n_critic,
            critic=MlpCritic(widths=(512 if paper else 128,) * 3, activation=Activation.RELU),
            penalty=GradientPenalty(weight=0.1),
            generator_optimizer=adam if paper else replace(adam, hold=0.6, end=0.05),
            critic_optimizer=adam if paper else replace(adam, hold=0.6, end=0.1),
        ),
        steps=30_000 if paper else same.steps,
    )


def _generator(layers: int) -> MlpGenerator:
    return MlpGenerator(widths=(128,) * layers, activation=Activation.TANH)


def _latent(dim: int, scale: Scale, *, half: float) -> Source:
    """Codes: normal in the paper, uniform on a cube of a half width in short runs."""
    return Normal(dim=dim) if scale is Scale.PAPER else Uniform(dim=dim, low=-half, high=half)
