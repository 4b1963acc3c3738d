"""The experiments of SWGAN (Sanjabi et al. 2018)."""

from __future__ import annotations

from otgen.data import Gaussians25, Normal
from otgen.methods import SWGAN, Adam, DualOracle
from otgen.nets import Activation, MlpGenerator
from otgen.ot import L1, MarginalError, Quadratic
from otgen.recipes.base import Scale, recipe
from otgen.train import RunConfig, TrainerConfig
from otgen.train.config import Duration


@recipe("swgan.fig3", "25 Gaussians on a grid by SWGAN, four latent dimensions")
def swgan_fig3(scale: Scale = Scale.CPU) -> RunConfig:
    """Sanjabi et al. 2018, Appendix K: Table 1 and its networks."""
    smoke = scale is Scale.SMOKE
    return RunConfig(
        data=Gaussians25(),
        latent=Normal(dim=4),
        generator=MlpGenerator(widths=(128, 128), activation=Activation.TANH),
        method=SWGAN(
            batch=32 if smoke else 128,
            cost=L1(),
            reg=Quadratic(eps=0.01),
            support=64 if smoke else 512,
            oracle=DualOracle(most=2 if smoke else 20, until=MarginalError(0.5)),
            generator_optimizer=Adam(lr=3e-3, beta1=0.5, beta2=0.9),
        ),
        trainer=TrainerConfig(ema=0.99, eval_samples=500 if smoke else 5000),
        steps={Scale.SMOKE: 10, Scale.PAPER: 10_000}.get(scale),
        budget=Duration(60) if scale is Scale.CPU else None,
    )
