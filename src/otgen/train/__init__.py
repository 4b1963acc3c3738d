"""Training: configuration, the one loop, checkpoints, the run directory."""

from otgen.train import checkpoint
from otgen.train.config import Device, Duration, RunConfig, TrainerConfig
from otgen.train.evaluation import Evaluation, evaluate, generate
from otgen.train.rundir import RunDir
from otgen.train.state import TrainState
from otgen.train.trainer import Ending, Hook, Trainer, build_generator

__all__ = [
    "Device",
    "Duration",
    "Ending",
    "Evaluation",
    "Hook",
    "RunConfig",
    "RunDir",
    "TrainState",
    "Trainer",
    "TrainerConfig",
    "build_generator",
    "checkpoint",
    "evaluate",
    "generate",
]
