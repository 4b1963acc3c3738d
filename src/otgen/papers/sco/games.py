"""The runs of the convex critic's experiments (Pinetz et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

from otgen.data import Gaussian1D, Gaussian2D, Gaussians8, Mixture, Normal
from otgen.methods import SCO, WGAN, WGANGP, Adam, Cells, GradientPenalty, Method
from otgen.nets import Activation, LocationScale, MlpCritic, MlpGenerator
from otgen.papers.recipe import Builder, Scale
from otgen.train import RunConfig, TrainerConfig
from otgen.train.config import Duration

# RMSprop is Adam without its first moment.
_RMSPROP = Adam(lr=1e-4, beta1=0.0, beta2=0.99)
_ADAM = Adam(lr=1e-4, beta1=0.0, beta2=0.9)
# Of everything on the plane.
_CRITIC = MlpCritic(widths=(128, 128), activation=Activation.RELU)


@dataclass(frozen=True, kw_only=True)
class Game:
    """A parameter-fit game: a Gaussian is to be found from another one.

    Attributes:
        data: the truth.
        start: where the generator starts; within 3 of the truth, since a step of SCO moves it by 5e-3 at most.
        cells: of SCO's grid.
        critic: the network that takes the grid's place.
        steps: the most of SCO.
        seconds: of the networks at scale cpu.
    """

    data: Mixture
    start: LocationScale
    cells: Cells
    critic: MlpCritic
    steps: int
    seconds: int

    def sco(self, scale: Scale = Scale.CPU) -> RunConfig:
        """Algorithm 2, with exact masses."""
        return self._run(SCO(cells=self.cells), scale, steps=self.steps)

    def wgan(self, scale: Scale = Scale.CPU) -> RunConfig:
        """Clipping as in the paper, whose section 4 found 0.1 better than 0.01."""
        adam = self._adam(_RMSPROP, scale)
        method = WGAN(batch=128, critic=self.critic, clip=0.1, generator_optimizer=adam, critic_optimizer=adam)
        return self._run(method, scale, seconds=self.seconds)

    def wgan_gp(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The gradient penalty as in the paper."""
        adam = self._adam(_ADAM, scale)
        method = WGANGP(batch=128, critic=self.critic, generator_optimizer=adam, critic_optimizer=adam)
        return self._run(method, scale, seconds=self.seconds)

    def _adam(self, adam: Adam, scale: Scale) -> Adam:
        # A million updates bring any step size there; a minute's do not.
        return adam if scale is Scale.PAPER else Adam(lr=1e-3, beta1=0.0, beta2=adam.beta2)

    def _run(self, method: Method, scale: Scale, *, steps: int | None = None, seconds: int | None = None) -> RunConfig:
        smoke, paper = scale is Scale.SMOKE, scale is Scale.PAPER
        if smoke:
            steps, seconds = 5, None
        elif paper and seconds is not None:
            steps, seconds = 1_000_000, None
        return RunConfig(
            data=self.data,
            latent=Normal(dim=self.data.shape[0]),
            generator=self.start,
            method=method,
            # The parameters as they are: an average would hide that they go to and fro.
            trainer=TrainerConfig(ema=0.0, eval_samples=200 if smoke else 2000, log_every=5 if smoke else 50),
            steps=steps,
            budget=None if seconds is None else Duration(seconds),
        )


def _line(mean: float, std: float, start: tuple[float, float]) -> Game:
    return Game(
        data=Gaussian1D(mean=mean, std=std),
        start=LocationScale(location=start[:1], scale=start[1:]),
        cells=Cells(low=-10, high=10, count=200),
        critic=MlpCritic(widths=(16, 16), activation=Activation.RELU),
        steps=1000,
        seconds=30,
    )


def _plane(mean: tuple[float, float], std: tuple[float, float]) -> Game:
    return Game(
        data=Gaussian2D(mean=mean, std=std),
        start=LocationScale(),
        cells=Cells(low=-6, high=6, count=48),
        critic=_CRITIC,
        steps=2000,
        seconds=60,
    )


# The paper's numbers are lost with its pictures: three pairs of the kinds that it names, and two on the plane.
LINE: dict[str, Game] = {
    "means": _line(2.0, 1.0, (-0.5, 1.0)),
    "spreads": _line(1.0, 2.0, (-1.0, 0.5)),
    "identical": _line(0.0, 1.0, (0.0, 1.0)),
}
PLANE: dict[str, Game] = {
    "means": _plane((1.5, -1.0), (1.0, 1.0)),
    "spreads": _plane((1.0, 1.0), (2.0, 0.5)),
    "identical": _plane((0.0, 0.0), (1.0, 1.0)),
}


def sco_fig5(scale: Scale = Scale.CPU) -> RunConfig:
    """Eight Gaussians on a circle by SCO, masses from 50,000 samples; at scale cpu by Adam, for half a minute."""
    paper = scale is Scale.PAPER
    method = SCO(
        batch=128 if paper else 512,
        cells=Cells(low=-2, high=2, count={Scale.SMOKE: 16, Scale.CPU: 64, Scale.PAPER: 128}[scale]),
        samples={Scale.SMOKE: 200, Scale.CPU: 2000, Scale.PAPER: 50_000}[scale],
        max_steps=200 if paper else 10,
        tol=0.05,
        lr=1e-4,
        adam=None if paper else Adam(lr=4e-3, beta1=0.5, beta2=0.99, hold=0.4, end=0.03),
        patience=0,
    )
    return _eight(method, scale, steps=60_000, seconds=30)


def _wgan_fig5(scale: Scale = Scale.CPU) -> RunConfig:
    adam = _RMSPROP if scale is Scale.PAPER else Adam(lr=5e-4, beta1=0.0, beta2=0.99, hold=0.5, end=0.05)
    method = WGAN(batch=128, critic=_CRITIC, clip=0.1, generator_optimizer=adam, critic_optimizer=adam)
    return _eight(method, scale, steps=1_000_000, seconds=300)


def _wgan_gp_fig5(scale: Scale = Scale.CPU) -> RunConfig:
    adam = _ADAM if scale is Scale.PAPER else Adam(lr=1e-3, beta1=0.0, beta2=0.9, hold=0.5, end=0.05)
    penalty = GradientPenalty(weight=10.0 if scale is Scale.PAPER else 0.1)
    method = WGANGP(batch=128, critic=_CRITIC, penalty=penalty, generator_optimizer=adam, critic_optimizer=adam)
    return _eight(method, scale, steps=1_000_000, seconds=300)


def _eight(method: Method, scale: Scale, *, steps: int, seconds: int) -> RunConfig:
    smoke = scale is Scale.SMOKE
    return RunConfig(
        data=Gaussians8(),
        latent=Normal(dim=2),
        generator=MlpGenerator(widths=(128, 128)),
        method=method,
        trainer=TrainerConfig(ema=0.99, eval_samples=200 if smoke else 5000, log_every=5 if smoke else 50),
        steps={Scale.SMOKE: 5, Scale.PAPER: steps}.get(scale),
        budget=Duration(seconds) if scale is Scale.CPU else None,
    )


EIGHT: dict[str, Builder] = {"sco": sco_fig5, "wgan": _wgan_fig5, "wgan-gp": _wgan_gp_fig5}
