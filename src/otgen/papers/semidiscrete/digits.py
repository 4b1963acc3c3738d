"""The runs of semi-discrete generators (Houdard et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from otgen.data import Digits, Mnist, Normal
from otgen.methods import Adam, CostUnit, SemiDiscreteGAN
from otgen.nets import MlpGenerator
from otgen.ot import KL, AveragedSGD, StochasticSinkhorn
from otgen.papers.recipe import Scale
from otgen.train import RunConfig, TrainerConfig
from otgen.train.config import Duration


@dataclass(frozen=True, kw_only=True)
class DigitsPanel:
    """A panel of Figure 2, as a function of the scale.

    Attributes:
        eps: the regularisation weight where the cost is a mean over pixels, the paper's lambda.
        letter: Algorithm 1 to the letter at every scale: psi by 200 averaged stochastic updates a step, the generator
            by Adam at 1e-4. Else, in a short run, ten updates on small batches that follow the generator, and larger
            steps that fall.
        self_samples: of the self term; 0 for none, as in the paper.
    """

    eps: float
    letter: bool = False
    self_samples: int = 0

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        smoke, large = scale is Scale.SMOKE, scale is Scale.PAPER
        method = SemiDiscreteGAN(
            atoms=100 if smoke else None,
            reg=KL(eps=self.eps),
            unit=CostUnit.COORDINATE,
            solver=AveragedSGD() if self.letter else StochasticSinkhorn(follow=True),
            most=5 if smoke else 200,
            self_samples=min(self.self_samples, 32) if smoke else self.self_samples,
        )
        if scale is Scale.CPU and not self.letter:
            adam = Adam(lr=1e-3, beta1=0.5, beta2=0.99, hold=0.5, end=0.05)
            solver = StochasticSinkhorn(batch=32, follow=True)
            method = replace(method, batch=64, solver=solver, most=10, generator_optimizer=adam)
        return RunConfig(
            data=Mnist(folder="data/mnist", download=True) if large else Digits(),
            latent=Normal(dim=128 if large else 16),
            generator=MlpGenerator(widths=(32,) if smoke else (256, 512, 1024)),
            method=method,
            trainer=TrainerConfig(ema=0.99, eval_samples=200 if smoke else 2000, log_every=5 if smoke else 100),
            steps={Scale.SMOKE: 5, Scale.PAPER: 4000}.get(scale),
            budget=Duration(150) if scale is Scale.CPU else None,
        )
