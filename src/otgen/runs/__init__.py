"""Tools that read run directories, and the training of all runs of a figure."""

from otgen.exports import exported
from otgen.runs.assumptions import Assumption as Assumption
from otgen.runs.assumptions import assumption_lines as assumption_lines
from otgen.runs.assumptions import assumptions as assumptions
from otgen.runs.curves_picture import draw_curves as draw_curves
from otgen.runs.evaluate import RunEvaluation as RunEvaluation
from otgen.runs.evaluate import evaluate_run as evaluate_run
from otgen.runs.export import export_run as export_run
from otgen.runs.networks import latent_law as latent_law
from otgen.runs.networks import load_critic as load_critic
from otgen.runs.networks import load_generator as load_generator
from otgen.runs.networks import load_potentials as load_potentials
from otgen.runs.reproduce import Interrupted as Interrupted
from otgen.runs.reproduce import Job as Job
from otgen.runs.reproduce import Observer as Observer
from otgen.runs.reproduce import Plan as Plan
from otgen.runs.reproduce import Reproduction as Reproduction
from otgen.runs.reproduce import reproduce as reproduce
from otgen.runs.reproduce import train_all as train_all
from otgen.runs.rows import in_units as in_units
from otgen.runs.rows import load_coder as load_coder
from otgen.runs.rows import sample_rows as sample_rows
from otgen.runs.rows import write_rows as write_rows
from otgen.runs.sample import RunSamples as RunSamples
from otgen.runs.sample import Sampler as Sampler
from otgen.runs.sample import draw_run as draw_run
from otgen.runs.sample import interpolated as interpolated
from otgen.runs.sample import sample_run as sample_run
from otgen.runs.tracking import PowerLaw as PowerLaw
from otgen.runs.tracking import Tracked as Tracked
from otgen.runs.tracking import fit_power_law as fit_power_law
from otgen.runs.tracking import parameter_similarity as parameter_similarity
from otgen.runs.tracking import track as track
from otgen.runs.verdict import Verdict as Verdict
from otgen.runs.verdict import verdict as verdict
from otgen.runs.verdict_advice import Advice as Advice
from otgen.runs.verdict_copies import copied as copied
from otgen.runs.verdict_curve import Course as Course
from otgen.runs.verdict_curve import Trend as Trend
from otgen.runs.verdict_distance import Distance as Distance
from otgen.runs.verdict_distance import Level as Level
from otgen.runs.verdict_distance import Levels as Levels
from otgen.runs.verdict_kinds import Fault as Fault
from otgen.runs.verdict_kinds import FaultKind as FaultKind

__all__ = exported(globals())
