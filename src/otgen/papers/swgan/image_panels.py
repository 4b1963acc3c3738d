"""The runs of SWGAN's experiments on images, MNIST and CIFAR-10 (Sanjabi et al. 2018, Figures 1, 2 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from otgen import methods, nets
from otgen.data import Cifar10, Digits, Mnist, Normal, Source
from otgen.methods import Adam, DualOracle, Method, Signs
from otgen.nets.swgan import SWGANCritic
from otgen.ot import KL, Cosine, Cost, MarginalError, Relative
from otgen.papers.recipe import Scale
from otgen.train import Duration, RunConfig, TrainerConfig


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """What the runs on one data set share at a scale: the data, the networks, and the numbers of the paper's table.

    Attributes:
        scale: how much computing a run may take.
        data: the images.
        generator: the paper's network, at a scale's width.
        critic: likewise; no gain in its layer normalisation, with which (46) has no bound under L1.
        batch: samples of each law in an update.
        updates: the most updates of potentials, or of a critic, a generator step.
        steps: generator steps.
        budget: training time, where it is that and not the steps that a run has.
    """

    scale: Scale
    data: Source
    generator: nets.GeneratorNet
    critic: SWGANCritic
    batch: int
    updates: int
    steps: int
    budget: Duration | None = None

    def weight(self, cost: Cost, *, latent: bool) -> float | Relative:
        """The regularisation weight: that of the tables, or one that suits the cost."""
        if self.scale is Scale.PAPER or (latent and isinstance(cost, Cosine)):
            return 0.5
        return Relative(0.5 if latent else 0.1)

    @property
    def adam(self) -> Adam:
        """The Adam of Tables 2 and 3, or one for a run of a twenty-fifth of their length."""
        if self.scale is Scale.PAPER:
            return Adam(lr=2e-4, beta1=0.0, beta2=0.95)
        return Adam(lr=1e-3, beta1=0.0, beta2=0.95, hold=0.5, end=0.1)

    def run(self, method: Method) -> RunConfig:
        """A method on this data, with these networks."""
        smoke = self.scale is Scale.SMOKE
        return RunConfig(
            data=self.data,
            latent=Normal(dim=128),
            generator=self.generator,
            method=method,
            trainer=TrainerConfig(ema=0.99, log_every=50 if smoke else 100, eval_samples=200 if smoke else 2000),
            steps=self.steps if self.budget is None else None,
            budget=self.budget,
        )


Task = Callable[[Scale], ImageTask]


def mnist(scale: Scale) -> ImageTask:
    """Section 5.1, Table 2. Scale cpu: a quarter of the width, kernels of 3, 2,000 steps."""
    width, kernel = {Scale.SMOKE: (4, 3), Scale.CPU: (16, 3), Scale.PAPER: (64, 5)}[scale]
    return ImageTask(
        scale=scale,
        data=Digits() if scale is Scale.SMOKE else Mnist(folder="data/mnist", download=True),
        generator=nets.SWGANMnistGenerator(width=width, kernel=kernel),
        critic=nets.SWGANMnistCritic(width=width, kernel=kernel, affine=False),
        batch=10 if scale is Scale.SMOKE else 100,
        updates=5 if scale is Scale.PAPER else 3,
        steps={Scale.SMOKE: 5, Scale.CPU: 2000, Scale.PAPER: 50_000}[scale],
    )


def cifar(scale: Scale) -> ImageTask:
    """Section 5.2, Table 3. Scale cpu: a sixteenth of the width, kernels of 3."""
    width, kernel = {Scale.SMOKE: (2, 3), Scale.CPU: (8, 3), Scale.PAPER: (128, 5)}[scale]
    return ImageTask(
        scale=scale,
        data=Cifar10(folder="data/cifar10"),
        generator=nets.SWGANCifarGenerator(width=width, kernel=kernel),
        critic=nets.SWGANCifarCritic(width=2 * width, kernel=kernel, affine=False),
        batch={Scale.SMOKE: 10, Scale.CPU: 100, Scale.PAPER: 150}[scale],
        updates=3,
        steps={Scale.SMOKE: 5, Scale.CPU: 1000, Scale.PAPER: 50_000}[scale],
    )


def timed_cifar(scale: Scale) -> ImageTask:
    """The same with all methods for the same time, ten minutes at scale cpu, and not for the same steps."""
    return replace(cifar(scale), budget=Duration(600) if scale is Scale.CPU else None)


def oracle_of(net: nets.CriticNet, updates: int, adam: Adam) -> DualOracle:
    """Both potentials by one architecture, in units of the mean cost, with so many updates a generator step at most."""
    return DualOracle(f=net, g=net, most=updates, until=MarginalError(0.2), relative=True, optimizer=adam)


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

    task: Task
    cost: Cost
    latent: bool = False
    sinkhorn: bool = False
    falls_to: float = 1.0
    signs: Signs = Signs.SUM

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        task, paper = self.task(scale), scale is Scale.PAPER
        start = task.weight(self.cost, latent=self.latent)
        eps = Relative(start.factor * self.falls_to) if isinstance(start, Relative) else start * self.falls_to
        learnt = methods.LearntFeatures(net=task.critic, signs=self.signs, optimizer=task.adam)
        method = methods.SWGANSinkhorn if self.sinkhorn else methods.SWGAN
        return task.run(
            method(
                batch=task.batch,
                cost=self.cost,
                reg=KL(eps=eps),
                oracle=oracle_of(nets.HeadOf(net=task.critic) if self.latent else task.critic, task.updates, task.adam),
                features=learnt if self.latent else None,
                pool=0 if paper else 2 * task.batch,
                support=2000 if paper else 128,
                anneal_from=1 / self.falls_to,
                anneal_steps=task.steps // 2 if self.falls_to < 1 else 0,
                report_every=50 if paper else 100,
                generator_optimizer=task.adam,
            )
        )


def rival(scale: Scale = Scale.CPU, *, task: Task, method: Callable[[ImageTask], Method]) -> RunConfig:
    """A run of another method.

    Args:
        scale: how much computing it may take.
        task: data, networks and table.
        method: from what the runs share to the method.
    """
    shared = task(scale)
    return shared.run(method(shared))


def sinkhorn_solver(task: ImageTask) -> methods.SinkhornAutoDiff:
    """The Sinkhorn solver on learnt features, with the same networks: their trunk is the feature map."""
    return methods.SinkhornAutoDiff(
        batch=task.batch,
        cost=Cosine(),
        reg=KL(eps=0.5),
        critic=nets.TrunkOf(net=task.critic),
        features=task.critic.trunk_features(task.critic.reads),
        n_critic=task.updates if task.scale is Scale.PAPER else 1,
        critic_optimizer=task.adam,
        generator_optimizer=task.adam,
    )


def wgan_gp(task: ImageTask) -> methods.WGANGP:
    """WGAN-GP with the same networks, but that layer normalisation takes the place of the critic's batch one."""
    return methods.WGANGP(
        batch=task.batch,
        n_critic=task.updates,
        critic=replace(task.critic, norm=nets.CriticNorm.LAYER),
        critic_optimizer=task.adam,
        generator_optimizer=task.adam,
    )
