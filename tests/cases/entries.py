"""Every place where a caller's tensor enters `otgen.ot`, as a scalar function of points ``(6, 2)`` in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cases.components import public
from cases.neural_duals import Gaussian, small
from cases.random_problems import cloud
from cases.semi_discrete import Unit
from otgen import ot
from otgen.ot import KL, Continuous, Discrete, GridW1, OTLoss, SamplesLoss, SemiDiscrete, solve

Entry = Callable[[Tensor], Tensor]
X, Y = cloud(6, 2, seed=1), cloud(8, 2, seed=2)
FIXED: dict[str, Any] = {"tol": 0, "max_steps": 5}


def euclidean(x: Tensor, y: Tensor) -> Tensor:
    """A cost of SamplesLoss that is a function."""
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1)


def new_semi_discrete() -> Any:
    """A solution between a square and atoms."""
    return solve(SemiDiscrete(Unit((2,)), Y, reg=KL(eps=0.5)), max_steps=5)


def new_continuous() -> Any:
    """A solution between two laws."""
    laws = (Gaussian((mean, 0.0), dtype=torch.float64) for mean in (0.0, 1.0))
    return solve(Continuous(*laws, reg=KL(eps=1.0)), small(bank=50), tol=0, max_steps=2)


def deposited(points: Tensor) -> Tensor:
    """Masses on an 8 x 8 grid, differentiable in the points."""
    return ot.histogram(points, (8, 8), 1.0, low=-4.0, outside="clamp", deposit="hat")


def new_grid() -> Any:
    """A solution on that grid."""
    return solve(GridW1(deposited(X) - deposited(Y), 1.0, low=-4.0), on_unconverged="ignore")


_MADE: dict[str, Any] = {}


def _once(make: Callable[[], Any]) -> Any:
    """The same solution at every call. Not by `functools.cache`, which compilers warn of."""
    name = make.__name__
    if name not in _MADE:
        _MADE[name] = make()
    return _MADE[name]


def semi_discrete() -> Any:
    """One solution between a square and atoms."""
    return _once(new_semi_discrete)


def continuous() -> Any:
    """One solution between two laws."""
    return _once(new_continuous)


def grid() -> Any:
    """One solution on the grid."""
    return _once(new_grid)


def _on_grid(difference: Tensor) -> Tensor:
    return solve(GridW1(difference, 1.0), **FIXED).value


def _loss(make: Any, **options: Any) -> Entry:
    loss = make(**({"reg": KL(eps=1.0)} | FIXED | options))
    return lambda u: loss(u, Y)


LOSSES: dict[str, Entry] = {cls.__name__: _loss(cls) for cls in public(ot.TransportLoss)}  # type: ignore[type-abstract]
LOSSES |= {
    "Quadratic": _loss(OTLoss, reg=ot.Quadratic(eps=1.0)),
    "NoReg": _loss(OTLoss, reg=ot.NoReg()),
    "relative": _loss(OTLoss, reg=KL()),
    "to a tolerance": _loss(OTLoss, tol=1e-3, max_steps=100),
    "linear value": _loss(OTLoss, value="linear"),
    "unrolled": _loss(OTLoss, gradient=ot.Unroll()),
    "SamplesLoss": lambda u: SamplesLoss(blur=1.0, max_steps=30, on_unconverged="ignore")(u, Y),
    "SamplesLoss, energy": lambda u: SamplesLoss("energy")(u, Y),
    "SamplesLoss, own cost": lambda u: SamplesLoss(cost=euclidean, blur=2.0, on_unconverged="ignore")(u, Y),
}
ENTRIES: dict[str, Entry] = LOSSES | {
    "y": lambda u: OTLoss(reg=KL(eps=1.0), **FIXED)(Y, u),
    "a": lambda u: OTLoss(reg=KL(eps=1.0), **FIXED)(X[: len(u)], Y, u.square().sum(1) / u.square().sum()),
    "b": lambda u: OTLoss(reg=KL(eps=1.0), **FIXED)(Y, X[: len(u)], None, u.square().sum(1) / u.square().sum()),
    "solve": lambda u: solve(Discrete(u, Y, reg=KL(eps=1.0)), **FIXED).value,
    "C": lambda u: solve(Discrete.from_matrix(euclidean(u, Y), reg=KL(eps=1.0)), **FIXED).value,
    "semi-discrete loss": lambda u: semi_discrete().loss(u),
    "semi-discrete map": lambda u: semi_discrete().map(u).sum(),
    "continuous loss": lambda u: continuous().loss(u, Y),
    "continuous map": lambda u: continuous().map(u, Y).sum(),
    "histogram": lambda u: deposited(u).square().sum(),
    "c": lambda u: _on_grid(deposited(u) - deposited(Y)),
    "c itself": lambda u: _on_grid((deposited(X) - deposited(Y)) * u.square().sum()),
    "critic": lambda u: grid().critic_at(u).sum(),
}
