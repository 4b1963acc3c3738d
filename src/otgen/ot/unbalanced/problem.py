"""Transport between two measures of any mass: marginals are penalised instead of prescribed.

``min_pi <C, pi> + eps KL(pi | a x b) + rho_a KL(pi 1 | a) + rho_b KL(pi^T 1 | b)`` over all ``pi >= 0``, with
``KL(p | q) = sum p log(p / q) - p + q`` (Chizat et al. 2018). Its dual is

``max_{f,g} -rho_a <a, exp(-f/rho_a) - 1> - rho_b <b, exp(-g/rho_b) - 1> - eps <a x b, exp((f+g-C)/eps) - 1>``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.problem import Problem
from otgen.ot.costs.base import Cost
from otgen.ot.discrete.problem import Discrete
from otgen.ot.regularisers.base import Regulariser, require_constant_eps
from otgen.ot.regularisers.kl import KL
from otgen.threads import cached_property

Rho = float | tuple[float, float]


class Unbalanced(Problem):
    """Entropic transport between two measures whose masses may differ, with KL penalties of the marginals.

    Args:
        x: points, ``(n, d)`` or ``(B, n, d)``; float32 or float64 (half precision is lifted to float32).
        y: points, ``(m, d)`` or ``(B, m, d)``, of the same dtype and device.
        a: masses of x, ``(n,)`` or ``(B, n)``: non-negative, of any positive total; ``1 / n`` each if None.
        b: masses of y, likewise.
        rho: the weight of the marginals' penalties, in units of the cost: what it costs about to create or to destroy
            a unit of mass. A pair gives one for each side; infinity prescribes the marginal of that side. GeomLoss's
            ``reach`` is ``rho = reach**p`` for the cost ``|x - y|**p / p``.
        cost: the ground cost.
        reg: KL; at 5 % of the mean cost if None.

    Points, masses and costs are copied: a later change of the caller's tensors in place has no effect.

    Attributes:
        pairs: costs and regulariser, as the balanced problem of the normalised measures.
        a: masses of x, ``(..., n)``, with the caller's graph.
        b: masses of y, ``(..., m)``.
        rho: ``(rho_a, rho_b)``.

    Raises:
        InputError: on empty or non-finite input, wrong shapes, bad masses, a rho that is not positive, another
            regulariser, forbidden pairs.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        a: Tensor | None = None,
        b: Tensor | None = None,
        *,
        rho: Rho,
        cost: Cost | None = None,
        reg: Regulariser | None = None,
    ) -> None:
        checks.in_order(x, y, a, b)
        a, b = _given("a", a), _given("b", b)
        self._set(Discrete(x, y, _share(a), _share(b), cost=cost, reg=_entropic(reg)), a, b, rho)

    @classmethod
    def from_matrix(
        cls, C: Tensor, a: Tensor | None = None, b: Tensor | None = None, *, rho: Rho, reg: Regulariser | None = None
    ) -> Unbalanced:
        """The problem of a given cost matrix, ``(n, m)`` or ``(B, n, m)``."""
        problem = cls.__new__(cls)
        a, b = _given("a", a), _given("b", b)
        problem._set(Discrete.from_matrix(C, _share(a), _share(b), reg=_entropic(reg)), a, b, rho)
        return problem

    def _set(self, pairs: Discrete, a: Tensor | None, b: Tensor | None, rho: Rho) -> None:
        if pairs.forbids:
            raise InputError(
                "forbidden pairs, those of infinite cost, are for Discrete problems; under penalised marginals a pair "
                "that costs far more than rho moves nothing by itself: give it a large finite cost"
            )
        self.pairs, self.rho = pairs, penalties(rho)
        self.a = pairs.a if a is None else a.expand(pairs.a.shape)
        self.b = pairs.b if b is None else b.expand(pairs.b.shape)

    def _with(self, **changes: Any) -> Unbalanced:
        problem = Unbalanced.__new__(Unbalanced)
        problem.__dict__.update(pairs=self.pairs, a=self.a, b=self.b, rho=self.rho)
        problem.__dict__.update(changes)
        return problem

    def with_pairs(self, pairs: Discrete, a: Tensor, b: Tensor) -> Unbalanced:
        """The problem of other pairs and masses, with the same penalties."""
        return self._with(pairs=pairs, a=a, b=b)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, m)`` or ``(B, n, m)``."""
        return self.pairs.shape

    @property
    @override
    def reference(self) -> Tensor:
        return self.pairs.reference

    @property
    def reg(self) -> KL:
        """The regulariser."""
        assert isinstance(self.pairs.reg, KL)
        return self.pairs.reg

    @property
    def eps(self) -> float:
        """The regularisation weight as a number."""
        return self.reg.weight

    @property
    def asked(self) -> Unbalanced:
        """The problem in the caller's dtype, of which this is the one that is solved."""
        return self._with(pairs=self.pairs.asked)

    @cached_property
    def masses64(self) -> tuple[Tensor, Tensor]:
        """a and b in float64, without a graph."""
        # Uniform ones are the same fraction in every dtype.
        given = zip((self.a, self.b), (self.pairs.a, self.pairs.b), self.pairs.weights64, strict=True)
        a, b = (exact if mass is share else mass.detach().double() for mass, share, exact in given)
        return a.detach(), b.detach()

    @cached_property
    def totals(self) -> tuple[Tensor, Tensor]:
        """The mass of either side, float64, shape of the batch."""
        a, b = self.masses64
        return a.sum(-1), b.sum(-1)

    @override
    def detached(self) -> Unbalanced:
        return self._with(pairs=self.pairs.detached(), a=self.a.detach(), b=self.b.detach())

    @override
    def resolved(self) -> Unbalanced:
        return self._with(pairs=self.pairs.resolved())

    @override
    def conditioned(self, tol: float) -> Unbalanced:
        # Without prescribed marginals, roundoff of a potential is roundoff of the mass.
        return self._with(pairs=self.pairs.lifted())

    @override
    def with_settings_of(self, resolved: Unbalanced) -> Unbalanced:
        return self._with(pairs=self.pairs.with_settings_of(resolved.pairs).lifted())

    def __getitem__(self, index: int | slice) -> Unbalanced:
        """One problem of a batch."""
        return self._with(pairs=self.pairs[index], a=self.a[index], b=self.b[index])

    def equals(self, other: Unbalanced) -> bool:
        """Whether both are the same problem, number by number, whatever the regulariser."""
        masses = zip(self.masses64, other.masses64, strict=True)
        return self.rho == other.rho and self.pairs.equals(other.pairs) and all(torch.equal(*pair) for pair in masses)

    def __repr__(self) -> str:
        *batch, n, m = self.shape
        of = f"{batch[0]} problems of " if batch else ""
        return f"Unbalanced({of}{n} x {m} points, {self.pairs.dtype}, {self.reg}, rho={self.rho})"


def penalties(rho: Any) -> tuple[float, float]:
    """``(rho_a, rho_b)`` from one number or a pair, checked."""
    message = "rho must be a positive weight, or a pair of them, one a side, got {}; inf prescribes a side's marginal"
    pair = tuple(rho) if isinstance(rho, (tuple, list)) else (rho, rho)
    if len(pair) != 2:
        raise InputError(message.format(checks.shown(rho)))
    left, right = (_penalty(value, message) for value in pair)
    if math.isinf(left) and math.isinf(right):
        raise InputError(
            "rho is infinite on both sides, which prescribes both marginals: that is the balanced problem, "
            "Discrete(x, y, a, b)"
        )
    return left, right


def _penalty(value: Any, message: str) -> float:
    return math.inf if checks.plain(value) == math.inf else float(checks.number(value, message, above=0))


def _entropic(reg: Regulariser | None) -> KL:
    reg = KL() if reg is None else reg
    require_constant_eps(reg, "Unbalanced")
    if not isinstance(reg, KL):
        raise InputError(
            f"unbalanced transport is solved for KL, whose update has a closed form; got {checks.shown(reg)}; "
            "pass reg=KL(eps=...), or Discrete for balanced marginals"
        )
    return reg


def _given(name: str, masses: Tensor | None) -> Tensor | None:
    """Masses as given, checked, owned, with their graph."""
    if masses is None:
        return None
    owned = checks.owned(name, masses, (1, 2))
    least = owned.detach().min().item()
    if least < 0:
        raise InputError(f"{name} has negative masses, the least is {least:.3g}; a measure has none")
    if not bool((owned.detach().sum(-1) > 0).all()):
        raise InputError(f"{name} has no mass: all of it is 0; leave it out for 1/n a point, or give it some")
    return owned


def _share(masses: Tensor | None) -> Tensor | None:
    if masses is None:
        return None
    exact = masses.detach().double()
    return exact / exact.sum(-1, keepdim=True)
