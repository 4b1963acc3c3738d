"""An eps for two clouds, from what a few of their points show."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.loop import OnUnconverged
from otgen.ot.costs.base import Cost
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.solution import Solution
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.solve import solve

# The accuracy to which convergence is judged, the first eps over the mean cost, and how often it is halved at most.
_TOL = 1e-2
_FIRST = 1.0
_HALVINGS = 16


@dataclass(frozen=True, kw_only=True)
class SuggestedEps:
    """A weight for :class:`KL`, and what it was measured to do.

    Attributes:
        eps: the weight, in units of the cost: ``KL(eps=suggested.eps)``.
        relative: eps over the mean cost of the points looked at: ``KL(eps=Relative(suggested.relative))``.
        bias: by which fraction the cost of the plan was above that of the best plan, on the points looked at.
        steps: steps that the default solver took there to a relative gap of 1e-2.
        text: the same in a sentence, and what limited the choice.
    """

    eps: float
    relative: float
    bias: float
    steps: int
    text: str

    @override
    def __str__(self) -> str:
        return self.text


def suggest_eps(
    x: Tensor,
    y: Tensor,
    cost: Cost | None = None,
    *,
    bias: float = 0.1,
    max_steps: int = 300,
    points: int = 256,
    rng: torch.Generator | None = None,
) -> SuggestedEps:
    """An eps for KL that is small enough to see the clouds apart, and large enough to be solved.

    On up to ``points`` points of each cloud, eps is halved from the mean cost down. The answer is the first one whose
    plan costs at most ``1 + bias`` times the exact transport, or else the last one that the default solver takes to a
    relative gap of 1e-2 within ``max_steps``. A plan of small eps in d dimensions costs about ``d eps / 2`` too much
    (squared Euclidean), so no fixed fraction of the mean cost serves all data. All of this is measured, not assumed.

    Args:
        x: points, ``(n, d)``.
        y: points, ``(m, d)``.
        cost: the ground cost; squared Euclidean by default.
        bias: the wanted fraction. 0.1 suits a training loss, which is debiased anyway; 0.01 suits a plan to be used
            for itself.
        max_steps: the most steps a solve may take.
        points: the most points of each cloud to look at. The clouds as a whole have a smaller exact value, so their
            bias is larger.
        rng: what chooses the points; a generator seeded with 0 if left out.

    Returns:
        eps with the numbers behind it.

    Raises:
        InputError: on bad points, where all costs are 0, or where not even eps = mean cost is solved in ``max_steps``.
    """
    if not 0 < bias < float("inf"):
        raise InputError(f"bias is a fraction of the exact value and must be positive, got {bias!r}; 0.1 is a start")
    checks.count("max_steps", max_steps, 1)
    checks.count("points", points, 1)
    whole = Discrete(checks.lifted("x", x, (2,)), checks.lifted("y", y, (2,)), cost=cost)
    rng = checks.generator(rng)
    sides = [side.points.detach() for side in whole.sides()]
    few = [p[torch.randperm(len(p), generator=rng)[:points].to(p.device)].double() for p in sides]
    costs = Discrete(few[0], few[1], cost=cost).matrix
    mean = float(costs.mean())
    if not mean > 0:
        raise InputError("all points coincide, so every cost is 0 and eps has no scale; take any positive number")
    exact = float(solve(Discrete.from_matrix(costs, reg=NoReg())).value_linear)
    best: tuple[float, float, Solution] | None = None
    for k in range(_HALVINGS):
        eps = mean * _FIRST / 2**k
        problem = Discrete.from_matrix(costs, reg=KL(eps=eps))
        solution = solve(problem, tol=_TOL, max_steps=max_steps, on_unconverged=OnUnconverged.IGNORE)
        if not solution.converged:
            break
        best = eps, _excess(float(solution.value_linear), exact, mean), solution
        if best[1] <= bias:
            break
    if best is None:
        raise InputError(
            f"eps = the mean cost, {mean:.3g}, is not solved to a relative gap of {_TOL} in max_steps={max_steps}; "
            "raise max_steps"
        )
    return _described(*best, mean, bias, max_steps, few)


def _excess(cost: float, exact: float, mean: float) -> float:
    rounding = 1e-12 * mean
    if exact > rounding:
        return max(cost / exact - 1, 0.0)
    return 0.0 if cost <= rounding else float("inf")


def _described(
    eps: float, excess: float, solution: Solution, mean: float, bias: float, max_steps: int, few: list[Tensor]
) -> SuggestedEps:
    share = f"{100 * excess:.2g} %" if excess < float("inf") else "infinitely many per cent (the exact one costs 0)"
    text = (
        f"eps {eps:.4g}, {eps / mean:.2g} of the mean cost: on {len(few[0])} x {len(few[1])} points the plan costs "
        f"{share} more than the best one, and Sinkhorn takes {solution.steps} steps to a gap of {_TOL:g}"
    )
    if excess > bias:
        text += f"; a smaller eps is not solved in {max_steps} steps, so the wanted {100 * bias:.2g} % is missed"
    return SuggestedEps(eps=eps, relative=eps / mean, bias=excess, steps=solution.steps, text=text)
