"""What reads run directories, and what trains a figure's."""

from otgen.runs.evaluate import RunEvaluation, evaluate_run
from otgen.runs.reproduce import Interrupted, Job, Observer, Plan, Reproduction, reproduce, train_all
from otgen.runs.sample import load_generator, sample_run

__all__ = [
    "Interrupted",
    "Job",
    "Observer",
    "Plan",
    "Reproduction",
    "RunEvaluation",
    "evaluate_run",
    "load_generator",
    "reproduce",
    "sample_run",
    "train_all",
]
