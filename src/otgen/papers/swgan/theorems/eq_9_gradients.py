"""Sanjabi et al. 2018, (9), (10) and (44): whose gradient the plan gives when it is held constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from otgen.ot import KL, Discrete, Quadratic, Sinkhorn, SmoothRegulariser, SqEuclidean, Unroll, ValueKind, solve
from otgen.papers.problems import Problems, normal, solved, weights
from otgen.papers.swgan.theorems.games import TanhGame, gradient_of
from otgen.papers.theorem import Part, Relation, Status, Trials, equal, theorem

# Size of the step of a difference quotient.
_STEP = 1e-4


@dataclass(frozen=True)
class _Curve(TanhGame):
    """The generators and their problem under the squared distance."""

    reg: SmoothRegulariser

    @classmethod
    def drawn(cls, trials: Trials, k: int, reg: SmoothRegulariser) -> _Curve:
        rng = trials.rng
        z, weight, way, y = normal(rng, k, 6, 3), normal(rng, k, 3, 2), normal(rng, k, 3, 2), normal(rng, k, 7, 2) / 2
        return cls(z, weight, way, y, weights(rng, k, 6), weights(rng, k, 7), reg)

    def problem(self, weight: Tensor) -> Discrete:
        return Discrete(self.points(weight), self.y, self.a, self.b, cost=SqEuclidean(), reg=self.reg)

    def numbers(self, t: float) -> tuple[Tensor, Tensor, Tensor]:
        """The regularised value, its linear part and the penalty of the optimal plan, at t: each ``(k,)``."""
        weight = self.weight + t * self.way
        solution = solved(self.problem(weight))
        C = SqEuclidean()(self.points(weight), self.y)
        penalty = Problems(C=C, a=self.a, b=self.b, reg=self.reg).penalty(solution.plan())
        return solution.value, solution.value_of(ValueKind.LINEAR), penalty

    def quotients(self) -> tuple[Tensor, ...]:
        """Derivatives of the three by t at 0."""
        after, before = self.numbers(_STEP), self.numbers(-_STEP)
        return tuple((one - other) / (2 * _STEP) for one, other in zip(after, before, strict=True))

    def danskin(self) -> tuple[Tensor, Tensor]:
        """``<pi*, dc/dt>`` by hand, and the same of absolute values: its scale."""
        x = self.points(self.weight)
        speed = (1 - x.square()) * (self.z @ self.way)
        slope = 2 * ((x.unsqueeze(2) - self.y.unsqueeze(1)) * speed.unsqueeze(2)).sum(-1)
        plan = solved(self.problem(self.weight)).plan()
        return (plan * slope).sum((-1, -2)), (plan * slope.abs()).sum((-1, -2))

    def automatic(self, kind: ValueKind) -> Tensor:
        """The library's derivative by t: its envelope for the value, through all steps for the linear part."""

        def value(weight: Tensor) -> Tensor:
            problem = self.problem(weight)
            if kind is ValueKind.ENTROPIC:
                return solved(problem).value
            return solve(problem, Sinkhorn(), tol=0, max_steps=150, gradient=Unroll()).value_of(kind)

        return (gradient_of(value, self.weight) * self.way).sum((-1, -2))


@theorem(
    "S2",
    "after (4); (9), (10), (44)",
    "The regularised value and its linear part <pi*, c> have the same gradient in theta, <pi*, grad c>, so that either "
    "may be descended with the plan held constant.",
    corrected="<pi*, grad c> is the gradient of the regularised value, entropy included. That of the linear part is "
    "less by eps times the gradient of I(pi*(theta)): it takes the derivative of the plan.",
    recorded=Status.FALSE,
)
def linear_part(trials: Trials, *, share: float = 1.0, factor: float = 1.0) -> Iterator[Relation]:
    """The two values' gradients: ``share`` of ``eps grad I(pi*)`` apart, ``factor`` of ``<pi*, grad c>`` for one."""
    for reg in (KL(eps=0.2), KL(eps=1.0), Quadratic(eps=0.5)):
        curve = _Curve.drawn(trials, trials.at_most(trials.n // 6), reg)
        value, linear, penalty = curve.quotients()
        danskin, scale = curve.danskin()
        envelope, less = curve.automatic(ValueKind.ENTROPIC), danskin - share * reg.weight * penalty
        label = "d/dt <pi*, c> and <pi*, dc/dt>"
        yield equal(f"{label}, {reg}", linear, danskin, scale=scale, tol=1e-3)
        for text, left, right, tol in (
            ("d/dt d_eps and <pi*, dc/dt>", value, factor * danskin, 1e-4),
            ("the library's envelope and <pi*, dc/dt>", envelope, danskin, 1e-9),
            (f"{label} - eps d/dt I(pi*)", linear, less, 1e-4),
        ):
            yield equal(f"{text}, {reg}", left, right, scale=scale, tol=tol, part=Part.CORRECTED)
    curve = _Curve.drawn(trials, trials.at_most(50), KL(eps=1.0))
    _, _, penalty = curve.quotients()
    danskin, scale = curve.danskin()
    left, right = curve.automatic(ValueKind.LINEAR), danskin - share * curve.reg.weight * penalty
    # Steps of Sinkhorn converge geometrically, in some instances slowly.
    yield equal(
        f"the library's unrolled {label} - eps d/dt I(pi*)", left, right, scale=scale, tol=1e-3, part=Part.CORRECTED
    )
