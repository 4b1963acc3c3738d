"""What reads run directories, and what trains a figure's."""

from otgen.runs.assumptions import Assumption, assumptions
from otgen.runs.evaluate import RunEvaluation, evaluate_run
from otgen.runs.reproduce import Interrupted, Job, Observer, Plan, Reproduction, reproduce, train_all
from otgen.runs.sample import load_generator, sample_run
from otgen.runs.tracking import PowerLaw, Tracked, fit_power_law, parameter_similarity, track

__all__ = [
    "Assumption",
    "Interrupted",
    "Job",
    "Observer",
    "Plan",
    "PowerLaw",
    "Reproduction",
    "RunEvaluation",
    "Tracked",
    "assumptions",
    "evaluate_run",
    "fit_power_law",
    "load_generator",
    "parameter_similarity",
    "reproduce",
    "sample_run",
    "track",
    "train_all",
]
