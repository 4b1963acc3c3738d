"""POT's network simplex: its import, and flows that avoid some pairs."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from typing import Any, cast

import numpy as np

from otgen.seeding import python_stream_kept
from otgen.threads import Setting

_MOST_PIVOTS = 10_000_000

# If the pivots run out, the certificate shows it: POT need not warn.
_FILTER = ("ignore", None, UserWarning, re.compile(r"ot\."), 0)


def _silence() -> None:
    # Into the list itself: by `filterwarnings` all warnings that were shown once would be shown again.
    cast(Any, warnings.filters).insert(0, _FILTER)


def _unsilence() -> None:
    # It is gone where another thread has put back filters of its own meanwhile.
    if _FILTER in warnings.filters:
        cast(Any, warnings.filters).remove(_FILTER)


QUIET = Setting(_silence, _unsilence)


def pot() -> Any:
    """The POT module, imported without the other frameworks that it would load."""
    if "ot" not in sys.modules:
        # POT looks for other frameworks when it is imported, and they take memory on every device they find.
        for backend in ("JAX", "TENSORFLOW", "CUPY"):
            os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
        with python_stream_kept():
            importlib.import_module("ot")
    import ot

    return ot


def barring_cost(allowed: Any, shape: tuple[int, int]) -> float:
    """A cost of forbidden pairs at which no optimal plan uses one, if a plan can do without.

    Mass on a forbidden pair could go round by a cycle of allowed ones, which has fewer pairs than there are points.

    Args:
        allowed: the costs of the allowed pairs, not negative.
        shape: ``(n, m)``.
    """
    return float(sum(shape) * max(allowed.max(initial=0.0), np.finfo(np.float64).tiny))


def flow(costs: Any, forbidden: Any, a: Any, b: Any) -> Any:
    """A plan with as little mass on the forbidden pairs as can be, and of those a cheap one, ``(n, m)``.

    Args:
        costs: of the allowed pairs, ``(n, m)``; those of forbidden ones are not looked at.
        forbidden: ``(n, m)``, bool.
        a: positive weights, ``(n,)``; they and b are scaled to the sum 1.
        b: positive weights, ``(m,)``.
    """
    allowed = costs[~forbidden]
    least = allowed.min(initial=np.inf)
    span = allowed.max(initial=-np.inf) - least
    prices = np.where(forbidden, 1.0, (costs - least) / (sum(costs.shape) * span) if span > 0 else 0.0)
    with QUIET:
        return pot().emd(a / a.sum(), b / b.sum(), prices, numItermax=_MOST_PIVOTS)
