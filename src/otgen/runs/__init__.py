"""What reads run directories."""

from otgen.runs.evaluate import RunEvaluation, evaluate_run
from otgen.runs.sample import load_generator, sample_run

__all__ = ["RunEvaluation", "evaluate_run", "load_generator", "sample_run"]
