"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.exports import exported
from otgen.papers.claim import Claim as Claim
from otgen.papers.claim import Finding as Finding
from otgen.papers.claim import Paper as Paper
from otgen.papers.claim import Status as Status
from otgen.papers.claim import Trials as Trials
from otgen.papers.recipe import Recipe as Recipe
from otgen.papers.recipe import Scale as Scale
from otgen.papers.recipe import find as find
from otgen.papers.recipe import names as names
from otgen.papers.own.digits import digits as digits
from otgen.papers.own.digits import features as features
from otgen.papers.own.digits import pixels as pixels
from otgen.papers.own.digits_figure import DIGITS_BEST as DIGITS_BEST
from otgen.papers.figure import Figure as Figure
from otgen.papers.figure import Panel as Panel
from otgen.papers.figure import all_figures as all_figures
from otgen.papers.figure import find_figure as find_figure
from otgen.papers.sco.games import sco_fig5 as sco_fig5
from otgen.papers.sco.figures import SCO_FIG3 as SCO_FIG3
from otgen.papers.sco.figures import SCO_FIG4 as SCO_FIG4
from otgen.papers.sco.figures import SCO_FIG5 as SCO_FIG5
from otgen.papers.semidiscrete.figures import SEMIDISCRETE_FIG2 as SEMIDISCRETE_FIG2
from otgen.papers.seqsgda.figures import SEQSGDA_FIG4 as SEQSGDA_FIG4
from otgen.papers.seqsgda.figures import SEQSGDA_FIG6 as SEQSGDA_FIG6
from otgen.papers.seqsgda.figures import SEQSGDA_FIG11 as SEQSGDA_FIG11
from otgen.papers.seqsgda.figures import SEQSGDA_FIG13 as SEQSGDA_FIG13
from otgen.papers.seqsgda.figures import SEQSGDA_FIG15 as SEQSGDA_FIG15
from otgen.papers.seqsgda.figures import SEQSGDA_FIG17 as SEQSGDA_FIG17
from otgen.papers.seqsgda.figures import SEQSGDA_FIG19 as SEQSGDA_FIG19
from otgen.papers.seqsgda.figures import SEQSGDA_FIG21 as SEQSGDA_FIG21
from otgen.papers.swgan.fig3_gaussians import swgan_fig3 as swgan_fig3
from otgen.papers.swgan.figures import SWGAN_FIG1 as SWGAN_FIG1
from otgen.papers.swgan.figures import SWGAN_FIG2 as SWGAN_FIG2
from otgen.papers.swgan.figures import SWGAN_FIG3 as SWGAN_FIG3
from otgen.papers.swgan.figures import SWGAN_FIG4 as SWGAN_FIG4
from otgen.papers.swgan.images import swgan_fig1 as swgan_fig1
from otgen.papers.swgan.images import swgan_fig2 as swgan_fig2
from otgen.papers.swgan.images import swgan_fig4 as swgan_fig4
from otgen.papers.own.toys import gaussians25 as gaussians25
from otgen.papers.run_claims import Alike as Alike
from otgen.papers.run_claims import Better as Better
from otgen.papers.run_claims import Bound as Bound
from otgen.papers.run_claims import ClaimStatus as ClaimStatus
from otgen.papers.run_claims import Compared as Compared
from otgen.papers.run_claims import Measure as Measure
from otgen.papers.run_claims import Outcome as Outcome
from otgen.papers.run_claims import Reached as Reached
from otgen.papers.run_claims import Results as Results
from otgen.papers.run_claims import Verdict as Verdict
from otgen.papers.theorem import Theorem as Theorem
from otgen.papers.theorem import all_theorems as all_theorems
from otgen.papers.theorem import theorem as theorem
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
