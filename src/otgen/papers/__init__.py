"""The papers: for each its recipes, its figures and its theorems, as computations that can disagree.

>>> from otgen.papers import all_theorems, verify
>>> [finding] = verify([theorem for theorem in all_theorems() if theorem.key == "S1"], n=20)
>>> print(finding.status)
true
"""

from otgen.exports import exported
from otgen.papers.claim import Claim as Claim
from otgen.papers.claim import Finding as Finding
from otgen.papers.claim import Paper as Paper
from otgen.papers.claim import Status as Status
from otgen.papers.claim import Trials as Trials
from otgen.papers.claim import Verdict as Verdict
from otgen.papers.claims_on_curves import FallsApart as FallsApart
from otgen.papers.claims_on_curves import FasterSteps as FasterSteps
from otgen.papers.claims_on_curves import Sooner as Sooner
from otgen.papers.claims_on_curves import Steadier as Steadier
from otgen.papers.claims_on_runs import Alike as Alike
from otgen.papers.claims_on_runs import Bound as Bound
from otgen.papers.claims_on_runs import Compared as Compared
from otgen.papers.claims_on_runs import Ground as Ground
from otgen.papers.claims_on_runs import NotMeasured as NotMeasured
from otgen.papers.claims_on_runs import Reached as Reached
from otgen.papers.claims_on_runs import RunClaim as RunClaim
from otgen.papers.figure import Figure as Figure
from otgen.papers.figure import Panel as Panel
from otgen.papers.figure import Study as Study
from otgen.papers.figure import all_figures as all_figures
from otgen.papers.figure import find_figure as find_figure
from otgen.papers.figure_metrics import Better as Better
from otgen.papers.figure_metrics import Measure as Measure
from otgen.papers.own import digits_against_others as digits_against_others
from otgen.papers.own import table as table
from otgen.papers.own import toys as toys
from otgen.papers.own.digits import digits as digits
from otgen.papers.own.photos import photos as photos
from otgen.papers.recipe import Recipe as Recipe
from otgen.papers.recipe import Scale as Scale
from otgen.papers.recipe import find as find
from otgen.papers.recipe import names as names
from otgen.papers.run_results import Outcome as Outcome
from otgen.papers.run_results import PanelRuns as PanelRuns
from otgen.papers.run_results import Point as Point
from otgen.papers.run_results import Results as Results
from otgen.papers.run_results import filed as filed
from otgen.papers.run_results import filed_results as filed_results
from otgen.papers.run_results import read_results as read_results
from otgen.papers.sco import fig1_fig2_critics as fig1_fig2_critics
from otgen.papers.sco import fig3_fig4_gaussian_fits as fig3_fig4_gaussian_fits
from otgen.papers.sco import fig5_eight_gaussians as fig5_eight_gaussians
from otgen.papers.semidiscrete import fig2_digits as fig2_digits
from otgen.papers.semidiscrete.eq_38_two_atoms import TwoAtoms as TwoAtoms
from otgen.papers.seqsgda import fig4_digits as fig4_digits
from otgen.papers.seqsgda import fig6_cats as fig6_cats
from otgen.papers.seqsgda import fig11_to_fig21_ablations as fig11_to_fig21_ablations
from otgen.papers.swgan import fig1_eps_mnist as fig1_eps_mnist
from otgen.papers.swgan import fig1_mnist as fig1_mnist
from otgen.papers.swgan import fig2_fig4_cifar10 as fig2_fig4_cifar10
from otgen.papers.swgan import fig3_gaussians as fig3_gaussians
from otgen.papers.theorem import Theorem as Theorem
from otgen.papers.theorem import all_theorems as all_theorems
from otgen.papers.theorem import theorem as theorem
from otgen.papers.verify import all_claims as all_claims
from otgen.papers.verify import verify as verify
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
