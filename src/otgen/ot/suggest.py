"""A choice of eps for two clouds, from measurements on a sample of their points."""

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
from otgen.ot.regularisers.kl import KL
from otgen.ot.regularisers.none import NoReg
from otgen.ot.solve import solve

# The tolerance of each solve, and the maximum number of halvings.
_TOL, _HALVINGS = 1e-2, 16


@dataclass(frozen=True, kw_only=True)
class SuggestedEps:
    """A regularisation weight for :class:`KL`, with the measurements behind it.

    Attributes:
        eps: the weight, in units of the cost: ``KL(eps=suggested.eps)``.
        relative: eps divided by the mean cost of the sampled points: ``KL(eps=Relative(suggested.relative))``.
        bias: relative excess of the plan's cost over the exact transport cost, on the sampled points.
        steps: steps that the default solver took on these points to a relative gap of 1e-2.
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
    """An eps for KL that is small enough to distinguish the clouds and large enough to be solved quickly.

    On up to ``points`` points of each cloud, eps is halved from the mean cost down. The answer is the first one whose
    plan costs at most ``1 + bias`` times the exact transport, or else the last one that the default solver solves to a
    relative gap of 1e-2 within ``max_steps``. A plan of small eps in d dimensions costs about ``d eps / 2`` too much
    (squared Euclidean), so no fixed fraction of the mean cost serves all data. All of this is measured, not assumed.

    Args:
        x: points, ``(n, d)``.
        y: points, ``(m, d)``.
        cost: the ground cost; squared Euclidean by default.
        bias: the target for the relative excess cost. 0.1 suits a training loss, which is debiased anyway; 0.01 suits a
            plan that is itself the result.
        max_steps: the maximum number of steps of each solve.
        points: the maximum number of points sampled from each cloud. The full clouds have a smaller exact value, so
            their bias is larger.
        rng: the generator that samples the points; one seeded with 0 if omitted.

    Returns:
        eps with the numbers behind it.

    Raises:
        InputError: on bad points, if all costs are 0, or if even eps = mean cost is not solved in ``max_steps``.
    """
    message = "bias is a fraction of the exact value and must be positive, got {}; 0.1 is a start"
    bias = checks.number(bias, message, above=0)
    max_steps, points = checks.count("max_steps", max_steps, 1), checks.count("points", points, 1)
    whole = Discrete(checks.lifted("x", x, (2,)), checks.lifted("y", y, (2,)), cost=cost)
    rng = checks.generator(rng)
    sides = [side.points.detach() for side in whole.sides()]
    few = [p[torch.randperm(len(p), generator=rng)[:points].to(p.device)].double() for p in sides]
    costs = Discrete(few[0], few[1], cost=cost).matrix
    mean = float(costs.mean())
    if not mean > 0:
        raise InputError("all points coincide, so every cost is 0 and eps has no scale; take any positive number")
    exact = float(solve(Discrete.from_matrix(costs, reg=NoReg())).value_linear)
    best: tuple[float, float, int] | None = None
    for k in range(_HALVINGS):
        eps = mean / 2**k
        problem = Discrete.from_matrix(costs, reg=KL(eps=eps))
        solution = solve(problem, tol=_TOL, max_steps=max_steps, on_unconverged=OnUnconverged.IGNORE)
        if not solution.converged:
            break
        best = eps, _excess(float(solution.value_linear), exact, mean), solution.steps
        if best[1] <= bias:
            break
    if best is None:
        raise InputError(
            f"eps = the mean cost, {mean:.3g}, is not solved to a relative gap of {_TOL} in max_steps={max_steps}; "
            "raise max_steps"
        )
    eps, excess, steps = best
    share = f"{100 * excess:.2g} %" if excess < float("inf") else "infinitely many per cent (the exact one costs 0)"
    text = (
        f"eps {eps:.4g}, {eps / mean:.2g} of the mean cost: on {len(few[0])} x {len(few[1])} points the plan costs "
        f"{share} more than the best one, and Sinkhorn takes {steps} steps to a gap of {_TOL:g}"
    )
    if excess > bias:
        text += f"; a smaller eps is not solved in {max_steps} steps, so the wanted {100 * bias:.2g} % is missed"
    return SuggestedEps(eps=eps, relative=eps / mean, bias=excess, steps=steps, text=text)


def _excess(cost: float, exact: float, mean: float) -> float:
    rounding = 1e-12 * mean
    if exact > rounding:
        return max(cost / exact - 1, 0.0)
    return 0.0 if cost <= rounding else float("inf")
