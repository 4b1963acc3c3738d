"""Sanjabi et al. 2018: whose gradient the plan gives, and whose gradient the samples do (sections 2 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.methods.swgan import held_cost
from otgen.ot import (
    KL,
    Discrete,
    Quadratic,
    Sinkhorn,
    SmoothRegulariser,
    SqEuclidean,
    Unroll,
    ValueKind,
    solve,
)
from otgen.papers.instances import Problems, normal, solved, spread_out, weights
from otgen.papers.relations import Part, Relation, at_most, equal
from otgen.papers.swgan.theorems.scaled_game import ScaledGame

# Size of the step of a difference quotient.
_STEP = 1e-4


@dataclass(frozen=True)
class _Curve:
    """Generators ``G(z) = tanh(z (W + t V))``, t a number, under the squared distance."""

    z: Tensor
    weight: Tensor
    way: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    reg: SmoothRegulariser

    @classmethod
    def drawn(cls, trials: Trials, k: int, reg: SmoothRegulariser) -> _Curve:
        rng = trials.rng
        z, weight, way, y = normal(rng, k, 6, 3), normal(rng, k, 3, 2), normal(rng, k, 3, 2), normal(rng, k, 7, 2) / 2
        return cls(z, weight, way, y, weights(rng, k, 6), weights(rng, k, 7), reg)

    def problem(self, weight: Tensor) -> Discrete:
        return Discrete(torch.tanh(self.z @ weight), self.y, self.a, self.b, cost=SqEuclidean(), reg=self.reg)

    def numbers(self, t: float) -> tuple[Tensor, Tensor, Tensor]:
        """The regularised value, its linear part and the penalty of the optimal plan, at t: each ``(k,)``."""
        weight = self.weight + t * self.way
        solution = solved(self.problem(weight))
        C = SqEuclidean()(torch.tanh(self.z @ weight), self.y)
        penalty = Problems(C=C, a=self.a, b=self.b, reg=self.reg).penalty(solution.plan())
        return solution.value, solution.value_of(ValueKind.LINEAR), penalty

    def quotients(self) -> tuple[Tensor, ...]:
        """Derivatives of the three by t at 0."""
        after, before = self.numbers(_STEP), self.numbers(-_STEP)
        return tuple((one - other) / (2 * _STEP) for one, other in zip(after, before, strict=True))

    def danskin(self) -> tuple[Tensor, Tensor]:
        """``<pi*, dc/dt>`` by hand, and the same of absolute values: its scale."""
        x = torch.tanh(self.z @ self.weight)
        speed = (1 - x.square()) * (self.z @ self.way)
        slope = 2 * ((x.unsqueeze(2) - self.y.unsqueeze(1)) * speed.unsqueeze(2)).sum(-1)
        plan = solved(self.problem(self.weight)).plan()
        return (plan * slope).sum((-1, -2)), (plan * slope.abs()).sum((-1, -2))

    def automatic(self, kind: ValueKind) -> Tensor:
        """The library's derivative by t: its envelope for the value, through all steps for the linear part."""
        weight = self.weight.clone().requires_grad_()
        problem = self.problem(weight)
        if kind is ValueKind.ENTROPIC:
            total = solved(problem).value
        else:
            total = solve(problem, Sinkhorn(), tol=0, max_steps=150, gradient=Unroll()).value_of(kind)
        (gradient,) = torch.autograd.grad(total.sum(), weight)
        return (gradient * self.way).sum((-1, -2))


@dataclass(frozen=True, kw_only=True)
class LinearPart(Theorem):
    """After (4), and in (9) and (10): the two values are said to have one gradient.

    Attributes:
        share: of ``eps grad I(pi*)``, by which they differ.
        factor: of ``<pi*, grad c>`` in the gradient of the regularised value.
    """

    key: ClassVar[str] = "S2"
    where: ClassVar[str] = "after (4); (9), (10), (44)"
    statement: ClassVar[str] = (
        "The regularised value and its linear part <pi*, c> have the same gradient in theta, <pi*, grad c>, so that "
        "either may be descended with the plan held constant."
    )
    corrected: ClassVar[str] = (
        "<pi*, grad c> is the gradient of the regularised value, entropy included. That of the linear part is less by "
        "eps times the gradient of I(pi*(theta)): it takes the derivative of the plan."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    share: float = 1.0
    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        for reg in (KL(eps=0.2), KL(eps=1.0), Quadratic(eps=0.5)):
            curve = _Curve.drawn(trials, trials.at_most(trials.n // 6), reg)
            value, linear, penalty = curve.quotients()
            danskin, scale = curve.danskin()

            def agree(text: str, left: Tensor, right: Tensor, tol: float, part: Part = Part.CORRECTED) -> Relation:
                return equal(f"{text}, {reg}", left, right, scale=scale, tol=tol, part=part)  # noqa: B023

            yield agree("d/dt <pi*, c> and <pi*, dc/dt>", linear, danskin, 1e-3, Part.PRINTED)
            yield agree("d/dt d_eps and <pi*, dc/dt>", value, self.factor * danskin, 1e-4)
            yield agree("the library's envelope and <pi*, dc/dt>", curve.automatic(ValueKind.ENTROPIC), danskin, 1e-9)
            yield agree(
                "d/dt <pi*, c> and <pi*, dc/dt> - eps d/dt I(pi*)",
                linear,
                danskin - self.share * reg.weight * penalty,
                1e-4,
            )
        curve = _Curve.drawn(trials, trials.at_most(50), KL(eps=1.0))
        _, linear, penalty = curve.quotients()
        danskin, scale = curve.danskin()
        # Steps of Sinkhorn converge geometrically, in some instances slowly.
        label = "the library's unrolled d/dt <pi*, c> and <pi*, dc/dt> - eps d/dt I(pi*)"
        left, right = curve.automatic(ValueKind.LINEAR), danskin - self.share * curve.reg.weight * penalty
        yield equal(label, left, right, scale=scale, tol=1e-3, part=Part.CORRECTED)


class _Batches(ScaledGame):
    """Three codes and data, and all batches of two of each."""

    def batches(self) -> tuple[Tensor, Tensor, Tensor]:
        """Indices of the codes and of the data of all batches, ``(81, 2)`` each, and chances ``(k, 81)``."""
        rows = torch.cartesian_prod(torch.arange(3), torch.arange(3))
        codes, data = rows.repeat_interleave(9, 0), rows.repeat(9, 1)
        return codes, data, self.a[:, codes].prod(-1) * self.b[:, data].prod(-1)

    def mean_estimate(self, density: Tensor) -> Tensor:
        """The mean of Algorithm 1's estimate, with the library's loss, over all batches: ``(k, 2)``."""
        codes, data, chances = self.batches()
        mean = torch.zeros(len(self.x), 2, dtype=torch.float64)
        for i in range(len(self.x)):
            theta = torch.ones(len(codes), 1, 2, dtype=torch.float64, requires_grad=True)
            points = self.x[i, codes] * theta
            loss = torch.stack(
                [
                    held_cost(SqEuclidean(), density[i, row][:, column], point, self.y[i, column])
                    for row, column, point in zip(codes, data, points, strict=True)
                ]
            )
            (estimates,) = torch.autograd.grad(loss.sum(), theta)
            mean[i] = chances[i] @ estimates.squeeze(1)
        return mean

    def mean_solved(self) -> Tensor:
        """The mean over all batches of the gradient of a batch's own transport problem: ``(k, 2)``."""
        codes, data, chances = self.batches()
        batch = self.x[:, codes].flatten(0, 1)
        x = batch.clone().requires_grad_()
        value = solved(Discrete(x, self.y[:, data].flatten(0, 1), cost=SqEuclidean(), reg=self.reg)).value
        (gradient,) = torch.autograd.grad(value.sum(), x)
        return (chances.unsqueeze(-1) * (gradient * batch).sum(1).reshape(len(self.x), len(codes), 2)).sum(1)


@dataclass(frozen=True, kw_only=True)
class Unbiased(Theorem):
    """Section 5: gradient estimates are said to be unbiased.

    Attributes:
        scale: of the estimate's mean.
        bias: factor of the bound on its distance from ``grad h``.
    """

    key: ClassVar[str] = "S14"
    where: ClassVar[str] = "section 5, Algorithm 1"
    statement: ClassVar[str] = (
        "With potentials that are functions of the points, the estimate of Algorithm 1 on a batch of any size is "
        "unbiased."
    )
    conditions: ClassVar[str] = (
        "Unbiased for G, the gradient that the pseudo-plan gives. For grad h at optimal potentials alone; else its "
        "bias is at most delta, the bound of Theorem 4.1. Batches that are solved on their own are biased in any case."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    scale: float = 1.0
    bias: float = 1.0

    @override
    def relations(self, trials: Trials) -> Iterator[Relation]:
        k = trials.at_most(5)
        outside: list[Relation] = []
        for reg in (KL(eps=1.0), Quadratic(eps=1.0)):
            game = _Batches.drawn(trials, k, reg, n=3, m=3, least=0.02)
            best, (exact, _) = game.problems.optimum, game.gradient()
            pair = game.problems.near(trials.rng, spread_out(trials.rng, k, 0.1, 1.0))
            pseudo = (pair.plan.unsqueeze(-1) * game.slopes).sum((1, 2))
            mean = game.mean_estimate(pair.density)
            yield _apart(f"mean of the estimate and G, {reg}", self.scale * mean, pseudo, Part.PRINTED)
            yield _apart(
                f"mean of the estimate and grad h, best potentials, {reg}",
                self.scale * game.mean_estimate(best.density),
                exact,
                Part.PRINTED,
            )
            label = f"mean of the estimate and grad h, other potentials, {reg}"
            outside.append(_apart(label, self.scale * mean, exact, Part.OUTSIDE))
            label = f"mean gradient of batches solved on their own and grad h, {reg}"
            outside.append(_apart(label, game.mean_solved(), exact, Part.OUTSIDE))
        yield self._bound(trials)
        yield from outside

    def _bound(self, trials: Trials) -> Relation:
        """Potentials off by a constant: there the bias is what the bound allows, where all pairs have one gradient."""
        k = trials.at_most(200)
        game = _Batches.drawn(trials, k, Quadratic(eps=20.0), n=3, m=3, least=0.02, far=2.0)
        best = game.problems.optimum
        pair = game.problems.near(trials.rng, spread_out(trials.rng, k, 1e-3, 0.1))
        raised = spread_out(trials.rng, k, 0.1, 1.0).unsqueeze(-1)
        pair = type(pair)(problems=pair.problems, f=pair.f + game.reg.weight * raised, g=pair.g)
        mean = (pair.plan.unsqueeze(-1) * game.slopes).sum((1, 2))
        square = (game.problems.product * game.slopes.square().sum(-1)).sum((-1, -2))
        return at_most(
            "bias for grad h and delta = l_0 sqrt(2 eps'/eps), norm-2",
            (mean - game.gradient()[0]).norm(dim=-1),
            self.bias * (2 * square * (best.dual - pair.dual).clamp(min=0) / game.reg.weight).sqrt(),
            tight=0.95,
            slack=1e-6,
        )


def _apart(label: str, left: Tensor, right: Tensor, part: Part) -> Relation:
    apart = (left - right).norm(dim=-1)
    scale = 0.1 + right.norm(dim=-1)
    return equal(label, apart, 0.0, scale=scale, tol=1e-7, part=part)
