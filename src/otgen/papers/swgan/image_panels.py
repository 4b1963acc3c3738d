"""The runs of SWGAN's experiments on images, MNIST and CIFAR-10 (Sanjabi et al. 2018, Figures 1, 2 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from otgen import methods, nets
from otgen.data import Cifar10, Digits, Mnist, Normal, Source, ValueRange
from otgen.methods import Adam, DualOracle, Method, Signs
from otgen.nets import GluReading, SidesReading
from otgen.ot import KL, Cosine, Cost, Quadratic, Relative, Steps
from otgen.papers.recipe import Scale
from otgen.papers.swgan.settings import shape_of
from otgen.train import Duration, RunConfig, TrainerConfig

NEVER = 1_000_000_000
"""More generator steps than a run has."""


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """What the runs on one data set share at a scale: the data, the networks, and the numbers of the paper's table.

    Attributes:
        scale: how much computing a run may take.
        data: the images, at scale paper in the range of the generator's tanh.
        codes: dimension of the normal codes.
        generator: of the images.
        features: its trunk is what learns, in the panels on features, and its head a potential there.
        potential: each of the two potentials on pixels.
        penalised: the critic of WGAN-GP.
        batch: samples of each law in an update.
        updates: updates of potentials a generator step.
        critic_updates: updates of WGAN-GP's critic a generator step.
        steps: generator steps; of a run with a budget, about as many as it takes.
        budget: training time, where it is that and not the steps that a run has.
        step: step size of all networks at scale cpu, where runs are short.
        beta2: of Adam there.
        pixel_weights: the regularisation weights of L1 and of the cosine on pixels there; None for a tenth of the mean
            cost at the start.
    """

    scale: Scale
    data: Source
    codes: int = 128
    generator: nets.GeneratorNet
    features: nets.SplitCriticNet
    potential: nets.CriticNet
    penalised: nets.CriticNet
    batch: int
    updates: int
    critic_updates: int
    steps: int
    budget: Duration | None = None
    step: float = 1e-3
    beta2: float = 0.95
    pixel_weights: tuple[float, float] | None = None

    def weight(self, cost: Cost, *, latent: bool) -> float | Relative:
        """The regularisation weight: that of the tables, or one that suits the cost."""
        if self.scale is Scale.PAPER or (latent and isinstance(cost, Cosine)):
            return 0.5
        if latent or self.pixel_weights is None:
            return Relative(0.5 if latent else 0.1)
        return self.pixel_weights[isinstance(cost, Cosine)]

    @property
    def adam(self) -> Adam:
        """The Adam of Tables 2 and 3, or one for a run of a twenty-fifth of their length."""
        if self.scale is Scale.PAPER:
            return Adam(lr=2e-4, beta1=0.0, beta2=0.95)
        return Adam(lr=self.step, beta1=0.0, beta2=self.beta2, hold=0.5, end=0.1)

    def run(self, method: Method) -> RunConfig:
        """A method on this data, with these networks."""
        smoke, paper = self.scale is Scale.SMOKE, self.scale is Scale.PAPER
        log_every, samples = (50, 200) if smoke else (100, 2000)
        return RunConfig(
            data=self.data,
            latent=Normal(dim=self.codes),
            generator=self.generator,
            method=method,
            trainer=TrainerConfig(ema=0.0 if paper else 0.99, log_every=log_every, eval_samples=samples),
            steps=self.steps if self.budget is None else None,
            budget=self.budget,
        )


Task = Callable[[Scale], ImageTask]


def _pixels(scale: Scale) -> ValueRange:
    """That of a tanh, or that of the settings which were tuned."""
    return ValueRange.SYMMETRIC if scale is Scale.PAPER else ValueRange.UNIT


def mnist(
    scale: Scale,
    *,
    kernel: int | None = None,
    sides: SidesReading = SidesReading.PADDED,
    pixels: ValueRange | None = None,
) -> ImageTask:
    """Section 5.1, Table 2.

    At scale cpu 2,000 steps and other networks, with which a tenth of them shows what the paper's, at a quarter of
    their width, do not show in all. Linear layers before the first maps and after the last ones tell how the parts of a
    digit belong together. Kernels of side 4 overlap evenly at stride 2, where those of 3 leave a pattern. Few features,
    normalised over the batch before they get their length, differ in direction; and potentials with a hidden layer of
    128 follow them, where one of 5 does not.

    Args:
        scale: how much computing a run may take.
        kernel: side of the kernels at scale paper, which the paper leaves open; 5 if it is left out.
        sides: how the generator's maps grow to 28 x 28 at scale paper, which the paper leaves open.
        pixels: their range; None for that of the tanh at scale paper and [0, 1] else.
    """
    if scale is Scale.PAPER:
        generator = nets.SWGANMnistGenerator(kernel=kernel or 5, sides=sides)
        critic = nets.SWGANMnistCritic(kernel=kernel or 5, affine=False)
        return ImageTask(
            scale=scale,
            data=_mnist(pixels or _pixels(scale)),
            generator=generator,
            features=critic,
            potential=critic,
            penalised=replace(critic, norm=nets.CriticNorm.LAYER),
            batch=100,
            updates=5,
            critic_updates=5,
            steps=50_000,
        )
    smoke = scale is Scale.SMOKE
    width, units = (4, 8) if smoke else (16, 256)
    features = nets.DcganCritic(width=width, hidden=(units,))
    return ImageTask(
        scale=scale,
        data=Digits() if smoke else _mnist(pixels or _pixels(scale)),
        codes=16,
        generator=nets.DcganGenerator(width=width, hidden=(2 * units,)),
        features=nets.SplitCritic(net=features, size=32),
        potential=nets.DcganCritic(width=width // 2, hidden=(units,)),
        penalised=features,
        batch=10 if smoke else 50,
        updates=3,
        critic_updates=1,
        steps=5 if smoke else 2000,
        step=2e-3,
        beta2=0.99,
        pixel_weights=(10.0, 0.1) if pixels is None else None,
    )


def _mnist(pixels: ValueRange) -> Source:
    return Mnist(folder="data/mnist", download=True, pixel_range=pixels)


def short_mnist(scale: Scale, *, pixels: ValueRange | None = None) -> ImageTask:
    """The same in half the steps at scale cpu, for many runs."""
    task = mnist(scale, pixels=pixels)
    return replace(task, steps=task.steps // 2) if scale is Scale.CPU else task


def cifar(
    scale: Scale, *, kernel: int | None = None, glu: GluReading = GluReading.POST, seconds: float = 1800
) -> ImageTask:
    """Section 5.2, Table 3. Scale cpu: a sixteenth of the width, kernels of 3, all methods for the same time.

    Args:
        scale: how much computing a run may take.
        kernel: side of the kernels, which the paper leaves open; 5 at scale paper.
        glu: whether the list of the generator counts channels after or before the gated units.
        seconds: of training at scale cpu.
    """
    width, side = {Scale.SMOKE: (2, 3), Scale.CPU: (8, 3), Scale.PAPER: (128, 5)}[scale]
    side = side if kernel is None else kernel
    critic = nets.SWGANCifarCritic(width=2 * width, kernel=side, affine=False)
    return ImageTask(
        scale=scale,
        data=Cifar10(folder="data/cifar10", pixel_range=_pixels(scale)),
        generator=nets.SWGANCifarGenerator(width=width, kernel=side, glu=glu),
        features=critic,
        potential=critic,
        penalised=replace(critic, norm=nets.CriticNorm.LAYER),
        batch={Scale.SMOKE: 10, Scale.CPU: 100, Scale.PAPER: 150}[scale],
        updates=3,
        critic_updates=3,
        steps={Scale.SMOKE: 5, Scale.CPU: 4000, Scale.PAPER: 50_000}[scale],
        budget=Duration(seconds) if scale is Scale.CPU else None,
    )


def oracle_of(net: nets.CriticNet, updates: int, adam: Adam) -> DualOracle:
    """Both potentials by one architecture, in units of the mean cost, with so many updates a generator step."""
    return DualOracle(f=net, g=net, most=updates, until=Steps(), relative=True, optimizer=adam)


@dataclass(frozen=True, kw_only=True)
class SwganPanel:
    """A panel of SWGAN, as a function of the scale.

    Attributes:
        task: data, networks and table.
        cost: on pixels or on features.
        latent: on features, learnt by (46).
        sinkhorn: descend the Sinkhorn loss, Algorithm 2, rather than the plain value, Algorithm 1.
        norm_2: the regulariser is the norm 2 rather than KL; on images the paper does not say which.
        weight: the regularisation weight; None for the table's, or one that suits the cost.
        falls_to: share of the regularisation weight that is left after the first half of the run.
        signs: of the self terms of (46).
        every: generator steps an update of the features: 2 in the tables, 5 in the text, ``NEVER`` for fixed ones.
        shared: one network gives both potentials on pixels, rather than one each; the paper leaves it open.
    """

    task: Task
    cost: Cost
    latent: bool = False
    sinkhorn: bool = False
    norm_2: bool = False
    weight: float | Relative | None = None
    falls_to: float = 1.0
    signs: Signs = Signs.SUM
    every: int = 2
    shared: bool = False

    def __call__(self, scale: Scale = Scale.CPU) -> RunConfig:
        """The configuration at a scale."""
        task, paper = self.task(scale), scale is Scale.PAPER
        start = task.weight(self.cost, latent=self.latent) if self.weight is None else self.weight
        eps = Relative(start.factor * self.falls_to) if isinstance(start, Relative) else start * self.falls_to
        learnt = methods.LearntFeatures(net=task.features, signs=self.signs, every=self.every, optimizer=task.adam)
        method = methods.SWGANSinkhorn if self.sinkhorn else methods.SWGAN
        return task.run(
            method(
                batch=task.batch,
                cost=self.cost,
                reg=Quadratic(eps=eps) if self.norm_2 else KL(eps=eps),
                oracle=self._oracle(task),
                features=learnt if self.latent else None,
                pool=0 if paper else 2 * task.batch,
                support=128,
                anneal_from=1 / self.falls_to,
                anneal_steps=task.steps // 2 if self.falls_to < 1 else 0,
                report_every=50 if paper else 100,
                generator_optimizer=task.adam,
            )
        )

    def _oracle(self, task: ImageTask) -> DualOracle:
        """At scale paper the potentials have no unit."""
        oracle = oracle_of(nets.HeadOf(net=task.features) if self.latent else task.potential, task.updates, task.adam)
        oracle = replace(oracle, shared=self.shared)
        return replace(oracle, relative=False) if task.scale is Scale.PAPER else oracle


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
        critic=nets.TrunkOf(net=task.features),
        features=task.features.trunk_features(shape_of(task.data)),
        n_critic=task.updates if task.scale is Scale.PAPER else 1,
        critic_optimizer=task.adam,
        generator_optimizer=task.adam,
    )


def wgan_gp(task: ImageTask) -> methods.WGANGP:
    """WGAN-GP with the same networks, but that no layer of its critic mixes samples, which a penalty does not allow."""
    return methods.WGANGP(
        batch=task.batch,
        n_critic=task.critic_updates,
        critic=task.penalised,
        critic_optimizer=task.adam,
        generator_optimizer=task.adam,
    )


def ot_gan(task: ImageTask) -> methods.OTGAN:
    """OT-GAN with the same networks: the critic's trunk is the feature map. Two batches of each law a step."""
    return methods.OTGAN(
        batch=task.batch,
        critic=nets.TrunkOf(net=task.features),
        features=task.features.trunk_features(shape_of(task.data)),
        critic_optimizer=task.adam,
        generator_optimizer=task.adam,
    )
