"""The former name of :mod:`otgen.papers`, for one more release."""

from otgen.errors import RenamedWarning, warn
from otgen.papers import *  # noqa: F403

warn("otgen.recipes is now otgen.papers; the former name goes with the next release", RenamedWarning)
