"""The errors that otgen raises on purpose: one line each, saying what is wrong, what was received, what to do."""

from __future__ import annotations


class OtgenError(Exception):
    """Base of every error that is the caller's to mend. The command prints it without a traceback."""


class InputError(OtgenError, ValueError):
    """An argument, an array or a file is not what it must be."""


class MissingDependency(OtgenError, ImportError):
    """An optional package is needed and not installed; the message names the extra that brings it."""


class NumericalError(OtgenError, ArithmeticError):
    """A loss, a gradient or a solver left the finite numbers."""


class UnconvergedError(OtgenError, RuntimeError):
    """A solver stopped before its tolerance, under ``on_unconverged="raise"``."""


class ConvergenceWarning(UserWarning):
    """A solver stopped before its tolerance, under ``on_unconverged="warn"``."""


class NegativeDivergenceWarning(UserWarning):
    """A Sinkhorn divergence is asked for under a cost with which it may be negative."""
