"""Networks: generators and critics, built from their hyper-parameters and the shapes of what they map."""

from otgen.nets.base import CriticNet, GeneratorNet, ToRange, seeded, statistics_kept
from otgen.nets.dcgan import DcganCritic, DcganGenerator
from otgen.nets.mlp import Activation, MlpCritic, MlpGenerator

__all__ = [
    "Activation",
    "CriticNet",
    "DcganCritic",
    "DcganGenerator",
    "GeneratorNet",
    "MlpCritic",
    "MlpGenerator",
    "ToRange",
    "seeded",
    "statistics_kept",
]
