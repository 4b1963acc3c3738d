"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.recipes.base import Recipe, Scale, find, names
from otgen.recipes.digits import digits, features, pixels
from otgen.recipes.digits_figures import DIGITS_BEST
from otgen.recipes.figures import Figure, Panel, all_figures, find_figure
from otgen.recipes.sco import sco_fig5
from otgen.recipes.sco_figures import SCO_FIG3, SCO_FIG4, SCO_FIG5
from otgen.recipes.semidiscrete_figures import SEMIDISCRETE_FIG2
from otgen.recipes.seqsgda_figures import (
    SEQSGDA_FIG4,
    SEQSGDA_FIG6,
    SEQSGDA_FIG11,
    SEQSGDA_FIG13,
    SEQSGDA_FIG15,
    SEQSGDA_FIG17,
    SEQSGDA_FIG19,
    SEQSGDA_FIG21,
)
from otgen.recipes.swgan import swgan_fig3
from otgen.recipes.swgan_figures import SWGAN_FIG1, SWGAN_FIG2, SWGAN_FIG3, SWGAN_FIG4
from otgen.recipes.swgan_images import swgan_fig1, swgan_fig2, swgan_fig4
from otgen.recipes.toys import gaussians25
from otgen.recipes.verdicts import (
    Alike,
    Better,
    Bound,
    Claim,
    ClaimStatus,
    Compared,
    Measure,
    Outcome,
    Reached,
    Results,
    Verdict,
)
from otgen.renamed import former_names

__all__ = [
    "DIGITS_BEST",
    "SCO_FIG3",
    "SCO_FIG4",
    "SCO_FIG5",
    "SEMIDISCRETE_FIG2",
    "SEQSGDA_FIG4",
    "SEQSGDA_FIG6",
    "SEQSGDA_FIG11",
    "SEQSGDA_FIG13",
    "SEQSGDA_FIG15",
    "SEQSGDA_FIG17",
    "SEQSGDA_FIG19",
    "SEQSGDA_FIG21",
    "SWGAN_FIG1",
    "SWGAN_FIG2",
    "SWGAN_FIG3",
    "SWGAN_FIG4",
    "Alike",
    "Better",
    "Bound",
    "Claim",
    "ClaimStatus",
    "Compared",
    "Figure",
    "Measure",
    "Outcome",
    "Panel",
    "Reached",
    "Recipe",
    "Results",
    "Scale",
    "Verdict",
    "all_figures",
    "digits",
    "features",
    "find",
    "find_figure",
    "gaussians25",
    "names",
    "pixels",
    "sco_fig5",
    "swgan_fig1",
    "swgan_fig2",
    "swgan_fig3",
    "swgan_fig4",
]

__getattr__ = former_names(__name__)
