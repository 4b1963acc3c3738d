"""The runs of SWGAN's experiments on images, MNIST and CIFAR-10 (Sanjabi et al. 2018, Figures 1, 2 and 4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from typing_extensions import override

from otgen.data import Cifar10, Digits, Mnist, Normal, Source
from otgen.methods import (
    SWGAN,
    WGANGP,
    Adam,
    DualOracle,
    LearntFeatures,
    Method,
    Signs,
    SinkhornAutoDiff,
    SWGANSinkhorn,
)
from otgen.nets import (
    CriticNorm,
    GeneratorNet,
    HeadOf,
    SanjabiCifarCritic,
    SanjabiCifarGenerator,
    SanjabiMnistCritic,
    SanjabiMnistGenerator,
    TrunkOf,
)
from otgen.nets.sanjabi import CIFAR, MNIST, SanjabiCritic
from otgen.ot import KL, Cosine, Cost, MarginalError, Relative
from otgen.recipes.base import Scale
from otgen.train import RunConfig, TrainerConfig
from otgen.train.config import Duration


@dataclass(frozen=True, kw_only=True)
class ImageTask(ABC):
    """What the runs on one data set share: the data, the networks, and the numbers of the paper's table."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of an image."""

    @abstractmethod
    def data(self, scale: Scale) -> Source:
        """The images."""

    @abstractmethod
    def generator(self, scale: Scale) -> GeneratorNet:
        """The paper's network, at a scale's width."""

    @abstractmethod
    def critic(self, scale: Scale) -> SanjabiCritic:
        """Likewise; no gain in its layer normalisation, with which (46) has no bound under L1."""

    @abstractmethod
    def batch(self, scale: Scale) -> int:
        """Samples of each law in an update."""

    @abstractmethod
    def updates(self, scale: Scale) -> int:
        """The most updates of potentials, or of a critic, a generator step."""

    @abstractmethod
    def steps(self, scale: Scale) -> int:
        """Generator steps."""

    def budget(self, scale: Scale) -> Duration | None:
        """Training time, where it is that and not the steps that a run has; none unless a task says otherwise."""
        return None

    def weight(self, scale: Scale, cost: Cost, *, latent: bool) -> float | Relative:
        """The regularisation weight: that of the tables, or one that suits the cost."""
        if scale is Scale.PAPER or (latent and isinstance(cost, Cosine)):
            return 0.5
        return Relative(0.5 if latent else 0.1)

    def adam(self, scale: Scale, short: float) -> Adam:
        """The Adam of Tables 2 and 3, or one for a run of a twenty-fifth of their length."""
        if scale is Scale.PAPER:
            return Adam(lr=2e-4, beta1=0.0, beta2=0.95)
        return Adam(lr=short, beta1=0.0, beta2=0.95, hold=0.5, end=0.1)

    def run(self, method: Method, scale: Scale) -> RunConfig:
        """A method on this data, with these networks."""
        smoke, budget = scale is Scale.SMOKE, self.budget(scale)
        return RunConfig(
            data=self.data(scale),
            latent=Normal(dim=128),
            generator=self.generator(scale),
            method=method,
            trainer=TrainerConfig(ema=0.99, log_every=50 if smoke else 100, eval_samples=200 if smoke else 2000),
            steps=self.steps(scale) if budget is None else None,
            budget=budget,
        )


@dataclass(frozen=True, kw_only=True)
class MnistTask(ImageTask):
    """Section 5.1, Table 2. Scale cpu: a quarter of the width, kernels of 3, 2,000 steps."""

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return MNIST

    @override
    def data(self, scale: Scale) -> Source:
        return Digits() if scale is Scale.SMOKE else Mnist(folder="data/mnist", download=True)

    @override
    def generator(self, scale: Scale) -> GeneratorNet:
        width, kernel = self._size(scale)
        return SanjabiMnistGenerator(width=width, kernel=kernel)

    @override
    def critic(self, scale: Scale) -> SanjabiCritic:
        width, kernel = self._size(scale)
        return SanjabiMnistCritic(width=width, kernel=kernel, affine=False)

    @override
    def batch(self, scale: Scale) -> int:
        return 10 if scale is Scale.SMOKE else 100

    @override
    def updates(self, scale: Scale) -> int:
        return 5 if scale is Scale.PAPER else 3

    @override
    def steps(self, scale: Scale) -> int:
        return {Scale.SMOKE: 5, Scale.CPU: 2000, Scale.PAPER: 50_000}[scale]

    def _size(self, scale: Scale) -> tuple[int, int]:
        return {Scale.SMOKE: (4, 3), Scale.CPU: (16, 3), Scale.PAPER: (64, 5)}[scale]


@dataclass(frozen=True, kw_only=True)
class CifarTask(ImageTask):
    """Section 5.2, Table 3. Scale cpu: a sixteenth of the width, kernels of 3.

    Attributes:
        timed: all methods for the same time, ten minutes at scale cpu, and not for the same steps.
    """

    timed: bool = False

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return CIFAR

    @override
    def data(self, scale: Scale) -> Source:
        return Cifar10(folder="data/cifar10")

    @override
    def generator(self, scale: Scale) -> GeneratorNet:
        width, kernel = {Scale.SMOKE: (2, 3), Scale.CPU: (8, 3), Scale.PAPER: (128, 5)}[scale]
        return SanjabiCifarGenerator(width=width, kernel=kernel)

    @override
    def critic(self, scale: Scale) -> SanjabiCritic:
        width, kernel = {Scale.SMOKE: (4, 3), Scale.CPU: (16, 3), Scale.PAPER: (256, 5)}[scale]
        return SanjabiCifarCritic(width=width, kernel=kernel, affine=False)

    @override
    def batch(self, scale: Scale) -> int:
        return {Scale.SMOKE: 10, Scale.CPU: 100, Scale.PAPER: 150}[scale]

    @override
    def updates(self, scale: Scale) -> int:
        return 3

    @override
    def steps(self, scale: Scale) -> int:
        return {Scale.SMOKE: 5, Scale.CPU: 1000, Scale.PAPER: 50_000}[scale]

    @override
    def budget(self, scale: Scale) -> Duration | None:
        return Duration(600) if self.timed and scale is Scale.CPU else None


@dataclass(frozen=True, kw_only=True)
class SwganPanel:
    """A panel of SWGAN, as a function of the scale.

    Attributes:
        task: data, networks and table.
        cost: on pixels or on features.
        latent: on features, learnt by (46).
        sinkhorn: descend the Sinkhorn loss, Algorithm 2, rather than the plain value, Algorithm 1.
        falls_to: share of the regularisation weight that is left after the first half of the run.
        signs: of the self terms of (46).
    """

    task: ImageTask
    cost: Cost
    latent: bool = False
    sinkhorn: bool = False
    falls_to: float = 1.0
    signs: Signs = Signs.SUM

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        task, paper, net = self.task, scale is Scale.PAPER, self.task.critic(scale)
        start = task.weight(scale, self.cost, latent=self.latent)
        eps = Relative(start.factor * self.falls_to) if isinstance(start, Relative) else start * self.falls_to
        potential = HeadOf(net=net) if self.latent else net
        updates = task.updates(scale)
        learnt = LearntFeatures(net=net, signs=self.signs, optimizer=task.adam(scale, 1e-3))
        method = SWGANSinkhorn if self.sinkhorn else SWGAN
        return task.run(
            method(
                batch=task.batch(scale),
                cost=self.cost,
                reg=KL(eps=eps),
                oracle=DualOracle(
                    f=potential,
                    g=potential,
                    most=updates,
                    until=MarginalError(0.2),
                    check_every=updates,
                    relative=True,
                    optimizer=task.adam(scale, 1e-3),
                ),
                features=learnt if self.latent else None,
                pool=0 if paper else 2 * task.batch(scale),
                support=2000 if paper else 128,
                anneal_from=1 / self.falls_to,
                anneal_steps=task.steps(scale) // 2 if self.falls_to < 1 else 0,
                report_every=50 if paper else 100,
                generator_optimizer=task.adam(scale, 1e-3),
            ),
            scale,
        )


@dataclass(frozen=True, kw_only=True)
class SinkhornSolverPanel:
    """The Sinkhorn solver on learnt features, with the same networks: their trunk is the feature map.

    Attributes:
        task: data, networks and table.
    """

    task: ImageTask

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        task, net = self.task, self.task.critic(scale)
        method = SinkhornAutoDiff(
            batch=task.batch(scale),
            cost=Cosine(),
            reg=KL(eps=0.5),
            critic=TrunkOf(net=net),
            features=net.trunk_features(task.shape),
            n_critic=task.updates(scale) if scale is Scale.PAPER else 1,
            critic_optimizer=task.adam(scale, 1e-3),
            generator_optimizer=task.adam(scale, 1e-3),
        )
        return task.run(method, scale)


@dataclass(frozen=True, kw_only=True)
class WganGpPanel:
    """WGAN-GP with the same networks, but that layer normalisation takes the place of the critic's batch one.

    Attributes:
        task: data, networks and table.
    """

    task: ImageTask

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        task = self.task
        method = WGANGP(
            batch=task.batch(scale),
            n_critic=task.updates(scale),
            critic=replace(task.critic(scale), norm=CriticNorm.LAYER),
            critic_optimizer=task.adam(scale, 1e-3),
            generator_optimizer=task.adam(scale, 1e-3),
        )
        return task.run(method, scale)


def swgan_fig1(scale: Scale = Scale.CPU) -> RunConfig:
    """MNIST: cosine cost on learnt features, Sinkhorn loss."""
    return SwganPanel(task=MnistTask(), cost=Cosine(), latent=True, sinkhorn=True)(scale)


def swgan_fig2(scale: Scale = Scale.CPU) -> RunConfig:
    """CIFAR-10: cosine cost on learnt features, Sinkhorn loss."""
    return SwganPanel(task=CifarTask(timed=True), cost=Cosine(), latent=True, sinkhorn=True)(scale)


def swgan_fig4(scale: Scale = Scale.CPU) -> RunConfig:
    """CIFAR-10: cosine cost on pixels, the plain value, at one regularisation weight."""
    return SwganPanel(task=CifarTask(), cost=Cosine())(scale)
