"""Training: configuration, the one loop, checkpoints, the run directory."""

from otgen.exports import exported
from otgen.train import checkpoint as checkpoint
from otgen.train.class_evaluation import WorstClass as WorstClass
from otgen.train.class_evaluation import worst_class as worst_class
from otgen.train.conditioning import ConditionalGenerator as ConditionalGenerator
from otgen.train.conditioning import Laws as Laws
from otgen.train.config import AverageStatistics as AverageStatistics
from otgen.train.config import Device as Device
from otgen.train.config import Duration as Duration
from otgen.train.config import RunConfig as RunConfig
from otgen.train.config import TrainerConfig as TrainerConfig
from otgen.train.evaluation import Evaluation as Evaluation
from otgen.train.evaluation import evaluate as evaluate
from otgen.train.evaluation import generate as generate
from otgen.train.rundir import RunDir as RunDir
from otgen.train.state import TrainState as TrainState
from otgen.train.trainer import Ending as Ending
from otgen.train.trainer import Hook as Hook
from otgen.train.trainer import Trainer as Trainer
from otgen.train.trainer import build_generator as build_generator

__all__ = exported(globals())
