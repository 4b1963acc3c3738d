"""The errors that otgen raises on purpose: one line each, saying what is wrong, what was received, what to do."""

from __future__ import annotations

import contextlib
import difflib
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator

# Packages whose frames are not the caller's: a warning from inside a loss passes through torch.nn, one about a
# configuration through its parser.
_INSIDE = ("otgen", "torch", "jsonargparse")


class OtgenError(Exception):
    """Base class of the errors that the caller can fix. The command line prints them without a traceback."""


class InputError(OtgenError, ValueError):
    """An argument, an array or a file is not what it must be."""


class SaveError(OtgenError, OSError):
    """What must not be lost cannot be written."""


class MissingDependency(OtgenError, ImportError):
    """An optional package is needed and not installed; the message names the extra that installs it."""


class NumericalError(OtgenError, ArithmeticError):
    """A loss, a gradient or a solver's iterate is not finite."""


class UnconvergedError(OtgenError, RuntimeError):
    """A solver stopped before its tolerance, under ``on_unconverged="raise"``."""


class ConvergenceWarning(UserWarning):
    """A solver stopped before its tolerance, under ``on_unconverged="warn"``."""


class NegativeDivergenceWarning(UserWarning):
    """A Sinkhorn divergence is used with a cost under which it may be negative."""


class FewDataWarning(UserWarning):
    """A batch is larger than the data set, so that it is drawn with replacement."""


class TableWarning(UserWarning):
    """Columns of a table are not learnt: they are ids, or cannot be learnt."""


class ScaleWarning(UserWarning):
    """The coordinates of data have spreads so different that a distance sees only the largest."""


class DamageWarning(UserWarning):
    """A file of a run is damaged, or cannot be written, and the run goes on without it."""


class RenamedWarning(FutureWarning):
    """A former name is used, which the next release will no longer accept."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the caller's line: the innermost one outside otgen, torch and jsonargparse."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def suggestion(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?`` if a known word is close, else an empty string; to be appended to an error message."""
    # The word itself may be known elsewhere; here it was wrong.
    others = [name for name in known if name != word]
    near = difflib.get_close_matches(word, others, n=1, cutoff=cutoff)
    if not near:
        # Of another case, as wgangp for WGANGP.
        by_lower = {name.lower(): name for name in reversed(others)}
        near = [
            by_lower[one] for one in difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=max(cutoff, 0.8))
        ]
    return f"; did you mean {near[0]!r}?" if near else ""


@contextlib.contextmanager
def quiet(logger: str, level: int) -> Iterator[None]:
    """No warnings inside, and of a library's log only what is of this level: our own error says what is wrong.

    Args:
        logger: name of the library's logger.
        level: the least level that is still let through.
    """
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
