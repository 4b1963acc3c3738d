"""What Sanjabi et al. 2018 print: Tables 1 to 3, the lists of layers, appendices K and L; to the letter, misprints too.

Where tables and text contradict each other, the tables are taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from otgen.papers.swgan.settings import Setting

Printed = Mapping[Setting, str]

# What a training without a word on it has.
_PLAIN: Printed = {Setting.DECAY: "none", Setting.AVERAGE: "none"}
# Algorithms 1 and 2, line (a): fresh samples, of potentials that are as they are.
_ORACLE: Printed = {Setting.DRAWS: "fresh", Setting.UNIT: "1"}

_TOY_GENERATOR = "FC({dim}, 128)-tanh-FC(128, 128)-tanh-FC(128, 2)"
_TOY_CRITIC = "FC(2, 128)-ReLU-FC(128, 128)-ReLU-FC(128, 1)"
_TABLE_1: Printed = {
    Setting.LAMBDA: "0.01",
    Setting.GENERATOR_STEP: "0.003",
    Setting.BATCH: "128",
    Setting.DISCRIMINATOR_STEP: "0.001",
    Setting.REGULARISER: "Quadratic",
    Setting.BETAS: "0.5, 0.9",
    Setting.UPDATES: "20",
    Setting.STEPS: "10,000",
    Setting.COST: "L1",
}
_STEPS_OF_WGAN_GP = "30,000"


def of_gaussians(dim: int, *, sinkhorn: bool = False) -> Printed:
    """Table 1, appendices K and L.2: SWGAN on 25 Gaussians with codes of so many dimensions."""
    return {
        **_PLAIN,
        **_ORACLE,
        **_TABLE_1,
        Setting.CODES: f"normal, {dim} dimensions",
        Setting.GENERATOR: _TOY_GENERATOR.format(dim=dim),
        Setting.HEAD: _TOY_CRITIC,
        Setting.STOP: "(26)",
        Setting.SPACE: "samples",
        Setting.OBJECTIVE: "Sinkhorn loss" if sinkhorn else "plain value",
        Setting.ANNEALING: "none",
    }


def of_gaussians_by_wgan_gp(dim: int) -> Printed:
    """Appendices K and L.2: WGAN-GP on the same data, whose hyper-parameters are not given."""
    of_swgan = of_gaussians(dim)
    shared = (Setting.CODES, Setting.GENERATOR, Setting.HEAD, Setting.DECAY, Setting.AVERAGE)
    return {**{setting: of_swgan[setting] for setting in shared}, Setting.STEPS: _STEPS_OF_WGAN_GP}


_MNIST_GENERATOR = (
    "FC(128, 4096)-BN-ReLU-DECONV(256, 128, stride=2)-BN-ReLU-DECONV(128, 64, stride=2)-BN-ReLU-"
    "DECONV(128, 1, stride=2)-Tanh"
)
_MNIST_FEATURES = "CONV(1, 64, stride=2)-BN-LReLU-CONV(64, 128, stride=2)-BN-LReLU-CONV(128, 256, stride=2)-BN-LN-LReLU"
_MNIST: Printed = {
    Setting.GENERATOR: _MNIST_GENERATOR,
    Setting.FEATURES: _MNIST_FEATURES,
    Setting.HEAD: "FC(4096, 5)-BN-LReLU-FC(5, 1)",
}
_CIFAR_GENERATOR = (
    "FC(128, 16384)-BN-GLU-UpSample2x-CONV(1024, 512, stride=1)-BN-GLU-UpSample2x-CONV(512, 256, stride=1)-BN-GLU-"
    "UpSample2x-CONV(256, 128, stride=1)-BN-GLU-CONV(128, 3, stride=1)-Tanh"
)
_CIFAR_FEATURES = (
    "CONV(3, 256, stride=1)-BN-CReLU-CONV(256, 512, stride=2)-BN-CReLU-CONV(64, 1024, stride=2)-BN-CReLU-"
    "CONV(128, 2048, stride=2)-BN-LN-CReLU"
)
_CIFAR: Printed = {
    Setting.GENERATOR: _CIFAR_GENERATOR,
    Setting.FEATURES: _CIFAR_FEATURES,
    Setting.HEAD: "FC(32768, 5)-BN-LReLU-FC(5, 1)",
}
# Tables 2 and 3 agree in all but batch and updates. A tanh gives pixels from -1 to 1.
_TABLES: Printed = {
    Setting.LAMBDA: "0.5",
    Setting.GENERATOR_STEP: "0.0002",
    Setting.DISCRIMINATOR_STEP: "0.0002",
    Setting.BETAS: "0, 0.95",
    Setting.STEPS: "50,000",
    Setting.STOP: "none",
}
_IMAGES: Printed = {**_PLAIN, Setting.CODES: "normal, 128 dimensions", Setting.PIXELS: "-1 to 1"}


def of_images(*, mnist: bool, cost: str | None, latent: bool, sinkhorn: bool, falls: bool = False) -> Printed:
    """Table 2 with L.3, or Table 3 with M: SWGAN on MNIST or on CIFAR-10.

    Args:
        mnist: or CIFAR-10.
        cost: ``L1`` or ``cosine``; None where it is not printed.
        latent: whether the cost is on learnt features.
        sinkhorn: whether the objective is the Sinkhorn loss.
        falls: whether the weight falls, of which no numbers are printed.
    """
    more = {Setting.RATIO: "2", Setting.SIGNS: "sum"} if latent else {}
    more |= {} if cost is None else {Setting.COST: cost}
    more |= {} if falls else {Setting.ANNEALING: "none"}
    return {
        **_IMAGES,
        **_ORACLE,
        **_TABLES,
        **(_MNIST if mnist else _CIFAR),
        Setting.BATCH: "100" if mnist else "150",
        Setting.UPDATES: "5" if mnist else "3",
        Setting.SPACE: "features" if latent else "samples",
        Setting.OBJECTIVE: "Sinkhorn loss" if sinkhorn else "plain value",
        **more,
    }


def of_rival(*, mnist: bool, transport: bool) -> Printed:
    """Sections 5.1 and 5.2: other methods have the same networks, on CIFAR-10 the same batch; no more is said.

    Args:
        mnist: or CIFAR-10.
        transport: whether the method transports features, and so has no head.
    """
    networks = dict(_MNIST if mnist else _CIFAR)
    if transport:
        networks |= {Setting.SPACE: "features"}
        del networks[Setting.HEAD]
    return {**_IMAGES, **networks, **({} if mnist else {Setting.BATCH: "150"})}
