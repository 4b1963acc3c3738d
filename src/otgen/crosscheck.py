"""The former name of :mod:`otgen.peers`, for one more release."""

from otgen.errors import RenamedWarning, warn
from otgen.peers import *  # noqa: F403

warn("otgen.crosscheck is now otgen.peers; the former name goes with the next release", RenamedWarning)
