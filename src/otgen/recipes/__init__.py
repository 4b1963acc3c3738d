"""Complete run configurations by name. A recipe is a function from a scale to a configuration."""

from otgen.recipes.base import Recipe, Scale, find, names
from otgen.recipes.digits import digits, features
from otgen.recipes.toys import gaussians25

__all__ = ["Recipe", "Scale", "digits", "features", "find", "gaussians25", "names"]
