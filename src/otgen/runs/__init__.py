"""Tools that read run directories, and the training of all runs of a figure."""

from otgen.exports import exported
from otgen.runs.assumptions import Assumption as Assumption
from otgen.runs.assumptions import assumption_lines as assumption_lines
from otgen.runs.assumptions import assumptions as assumptions
from otgen.runs.curves_picture import draw_curves as draw_curves
from otgen.runs.evaluate import RunEvaluation as RunEvaluation
from otgen.runs.evaluate import evaluate_run as evaluate_run
from otgen.runs.evaluation_remarks import copied as copied
from otgen.runs.evaluation_remarks import remarks as remarks
from otgen.runs.export import export_run as export_run
from otgen.runs.reproduce import Interrupted as Interrupted
from otgen.runs.reproduce import Job as Job
from otgen.runs.reproduce import Observer as Observer
from otgen.runs.reproduce import Plan as Plan
from otgen.runs.reproduce import Reproduction as Reproduction
from otgen.runs.reproduce import reproduce as reproduce
from otgen.runs.reproduce import train_all as train_all
from otgen.runs.sample import load_critic as load_critic
from otgen.runs.sample import load_generator as load_generator
from otgen.runs.sample import load_potentials as load_potentials
from otgen.runs.sample import sample_run as sample_run
from otgen.runs.sampler import Sampler as Sampler
from otgen.runs.sampler import interpolated as interpolated
from otgen.runs.tracking import PowerLaw as PowerLaw
from otgen.runs.tracking import Tracked as Tracked
from otgen.runs.tracking import fit_power_law as fit_power_law
from otgen.runs.tracking import parameter_similarity as parameter_similarity
from otgen.runs.tracking import track as track

__all__ = exported(globals())
