"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.recipes.base import Recipe, Scale, find, names
from otgen.recipes.digits import digits, features
from otgen.recipes.figures import Figure, Panel, all_figures, find_figure
from otgen.recipes.swgan import swgan_fig3
from otgen.recipes.swgan_figures import SWGAN_FIG1, SWGAN_FIG2, SWGAN_FIG3, SWGAN_FIG4
from otgen.recipes.swgan_images import swgan_fig1, swgan_fig2, swgan_fig4
from otgen.recipes.toys import gaussians25
from otgen.recipes.verdicts import (
    Better,
    Bound,
    Claim,
    Compared,
    Measure,
    Outcome,
    Reached,
    Results,
    Status,
    Verdict,
)

__all__ = [
    "SWGAN_FIG1",
    "SWGAN_FIG2",
    "SWGAN_FIG3",
    "SWGAN_FIG4",
    "Better",
    "Bound",
    "Claim",
    "Compared",
    "Figure",
    "Measure",
    "Outcome",
    "Panel",
    "Reached",
    "Recipe",
    "Results",
    "Scale",
    "Status",
    "Verdict",
    "all_figures",
    "digits",
    "features",
    "find",
    "find_figure",
    "gaussians25",
    "names",
    "swgan_fig1",
    "swgan_fig2",
    "swgan_fig3",
    "swgan_fig4",
]
