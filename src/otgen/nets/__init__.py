"""Networks: generators and critics, built from their hyper-parameters and the shapes of what they map."""

from otgen.nets.adnan import AdnanDcganCritic, AdnanDcganGenerator, AdnanResnetCritic, AdnanResnetGenerator
from otgen.nets.base import (
    CriticNet,
    GeneratorNet,
    SplitCriticNet,
    ToRange,
    mixes_samples,
    scoring,
    statistics_kept,
)
from otgen.nets.dcgan import DcganCritic, DcganGenerator
from otgen.nets.layers import ConcatenatedReLU, TanhToRange
from otgen.nets.location_scale import LocationScale, LocationScaleMap
from otgen.nets.mlp import Activation, MlpCritic, MlpGenerator, MlpSplitCritic
from otgen.nets.parts import HeadOf, TrunkOf
from otgen.nets.sanjabi import CriticNorm
from otgen.nets.sanjabi_cifar import GluReading, SanjabiCifarCritic, SanjabiCifarGenerator
from otgen.nets.sanjabi_mnist import SanjabiMnistCritic, SanjabiMnistGenerator
from otgen.nets.spectral import SpectralNorm
from otgen.seeding import seeded

__all__ = [
    "Activation",
    "AdnanDcganCritic",
    "AdnanDcganGenerator",
    "AdnanResnetCritic",
    "AdnanResnetGenerator",
    "ConcatenatedReLU",
    "CriticNet",
    "CriticNorm",
    "DcganCritic",
    "DcganGenerator",
    "GeneratorNet",
    "GluReading",
    "HeadOf",
    "LocationScale",
    "LocationScaleMap",
    "MlpCritic",
    "MlpGenerator",
    "MlpSplitCritic",
    "SanjabiCifarCritic",
    "SanjabiCifarGenerator",
    "SanjabiMnistCritic",
    "SanjabiMnistGenerator",
    "SpectralNorm",
    "SplitCriticNet",
    "TanhToRange",
    "ToRange",
    "TrunkOf",
    "mixes_samples",
    "scoring",
    "seeded",
    "statistics_kept",
]
