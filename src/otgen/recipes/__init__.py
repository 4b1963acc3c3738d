"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.recipes.base import Recipe, Scale, find, names
from otgen.recipes.digits import digits, features
from otgen.recipes.swgan import swgan_fig3
from otgen.recipes.toys import gaussians25

__all__ = ["Recipe", "Scale", "digits", "features", "find", "gaussians25", "names", "swgan_fig3"]
