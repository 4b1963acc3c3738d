"""Stochastic ascent of the dual over two potentials, (5) of Sanjabi et al. 2018, and its stopping test (26)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from otgen.errors import InputError
from otgen.ot.continuous.capped_conjugate import CappedConjugate, pair_sums
from otgen.ot.core import checks
from otgen.ot.costs.base import Cost
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.regularisers.base import SmoothRegulariser


def decays(betas: Any) -> tuple[float, float]:
    """The two decays of Adam's moments, checked."""
    message = f"betas must be two numbers in [0, 1), got {checks.shown(betas).replace('{', '{{').replace('}', '}}')}"
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise InputError(message)
    first, second = (checks.number(beta, message, least=0, below=1) for beta in betas)
    return first, second


class Ascent(Protocol):
    """The counters of an ascent.

    Attributes:
        updates: number of updates since the potentials were new.
        capped_updates: number of them in which the conjugate was capped.
    """

    updates: int
    capped_updates: int


def ascent_step(
    state: Ascent,
    conjugate: CappedConjugate,
    potentials: tuple[Tensor, Tensor],
    costs: Tensor,
    descend: Callable[[Tensor], None],
) -> None:
    """One update of both potentials on a batch, with the last term of (5) over all pairs.

    Args:
        state: its counters are advanced.
        conjugate: the conjugate in (5).
        potentials: ``f(x_i)`` and ``g(y_j)``, with their graphs.
        costs: ``c(x_i, y_j)``, ``(n, m)``.
        descend: takes a step of the potentials' optimiser on a loss.
    """
    f, g = potentials
    with torch.no_grad():
        s = pair_sums(f, g, costs)
        density = conjugate.density(s)
    # The gradient of (5) with respect to f(x_i) or g(y_j) is the mass missing in that row or column. A linear loss with
    # the same gradient avoids back-propagation through n x m matrices.
    descend(((density.mean(1) - 1) * f).mean() + ((density.mean(0) - 1) * g).mean())
    state.updates += 1
    state.capped_updates += conjugate.caps(s)


def mean_mass(reg: SmoothRegulariser, cost: Cost, potentials: Potentials, x: Tensor, y: Tensor) -> float:
    """(26): the mean density over the pairs (x_k, y_k), not over all pairs; samples are ``(n, d)``."""
    s = potentials.f.double() + potentials.g.double() - cost.paired(x.double(), y.double())
    return float(reg.density(s).mean())
