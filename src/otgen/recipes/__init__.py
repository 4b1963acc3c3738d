"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.exports import exported
from otgen.recipes.base import Recipe as Recipe
from otgen.recipes.base import Scale as Scale
from otgen.recipes.base import find as find
from otgen.recipes.base import names as names
from otgen.recipes.digits import digits as digits
from otgen.recipes.digits import features as features
from otgen.recipes.digits import pixels as pixels
from otgen.recipes.digits_figures import DIGITS_BEST as DIGITS_BEST
from otgen.recipes.figures import Figure as Figure
from otgen.recipes.figures import Panel as Panel
from otgen.recipes.figures import all_figures as all_figures
from otgen.recipes.figures import find_figure as find_figure
from otgen.recipes.sco import sco_fig5 as sco_fig5
from otgen.recipes.sco_figures import SCO_FIG3 as SCO_FIG3
from otgen.recipes.sco_figures import SCO_FIG4 as SCO_FIG4
from otgen.recipes.sco_figures import SCO_FIG5 as SCO_FIG5
from otgen.recipes.semidiscrete_figures import SEMIDISCRETE_FIG2 as SEMIDISCRETE_FIG2
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG4 as SEQSGDA_FIG4
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG6 as SEQSGDA_FIG6
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG11 as SEQSGDA_FIG11
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG13 as SEQSGDA_FIG13
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG15 as SEQSGDA_FIG15
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG17 as SEQSGDA_FIG17
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG19 as SEQSGDA_FIG19
from otgen.recipes.seqsgda_figures import SEQSGDA_FIG21 as SEQSGDA_FIG21
from otgen.recipes.swgan import swgan_fig3 as swgan_fig3
from otgen.recipes.swgan_figures import SWGAN_FIG1 as SWGAN_FIG1
from otgen.recipes.swgan_figures import SWGAN_FIG2 as SWGAN_FIG2
from otgen.recipes.swgan_figures import SWGAN_FIG3 as SWGAN_FIG3
from otgen.recipes.swgan_figures import SWGAN_FIG4 as SWGAN_FIG4
from otgen.recipes.swgan_images import swgan_fig1 as swgan_fig1
from otgen.recipes.swgan_images import swgan_fig2 as swgan_fig2
from otgen.recipes.swgan_images import swgan_fig4 as swgan_fig4
from otgen.recipes.toys import gaussians25 as gaussians25
from otgen.recipes.verdicts import Alike as Alike
from otgen.recipes.verdicts import Better as Better
from otgen.recipes.verdicts import Bound as Bound
from otgen.recipes.verdicts import Claim as Claim
from otgen.recipes.verdicts import ClaimStatus as ClaimStatus
from otgen.recipes.verdicts import Compared as Compared
from otgen.recipes.verdicts import Measure as Measure
from otgen.recipes.verdicts import Outcome as Outcome
from otgen.recipes.verdicts import Reached as Reached
from otgen.recipes.verdicts import Results as Results
from otgen.recipes.verdicts import Verdict as Verdict
from otgen.renamed import former_names

__all__ = exported(globals())

__getattr__ = former_names(__name__)
