"""The minibatch energy distance of OT-GAN."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core.compilation import uncompiled
from otgen.ot.costs.cosine import Cosine
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.side import Side
from otgen.ot.losses.combination import Combination, combine
from otgen.ot.losses.divergences import TransportLoss
from otgen.ot.solve import default_solver


class MinibatchEnergyDistance(TransportLoss):
    """OT-GAN's distance between two laws, from two independent batches of each: X and X', Y and Y'.

    ``W(X, Y) + W(X, Y') + W(X', Y) + W(X', Y') - 2 W(X, X') - 2 W(Y, Y')``, Salimans et al. 2018. ``x`` holds X
    followed by X', ``y`` holds Y followed by Y'. The mean over independent batches is 0 for equal laws; a single value
    may be negative, and is not clipped. The halves must be independent: if x and y are the same tensor, the value is
    ``W(X, X) + W(X', X') - 2 W(X, X')``, which is not 0.

    The paper's W is the linear part ``<pi, C>`` of the entropic plan, with pi held constant in the gradient. That is
    the gradient of the entropic value, so the entropic value is returned here: training then descends the value that is
    reported, and that value has an interval. ``value=ValueKind.LINEAR`` returns the paper's number instead. Under
    :class:`Envelope` it carries the gradient of the entropic value, with respect to points and weights.

    Args:
        cost: the ground cost; :class:`Cosine` by default, as in the paper.
        reg: the regulariser; KL at 5 % of the mean cost of the first halves by default.
        solver: if omitted, chosen by the regulariser.
        value: entropic, or the paper's linear part, or the primal value.
        options: as for every :class:`TransportLoss`.

    Attributes:
        last: the detached :class:`Combination` of the last call, of the six entropic values under either ``value``;
            None before the first.
    """

    WEIGHTS = (1.0, 1.0, 1.0, 1.0, -2.0, -2.0)
    default_cost = Cosine()
    last: Combination | None = None

    @override
    @uncompiled
    def forward(self, x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """The distance.

        Args:
            x: X, then X': ``(2k, d)`` or ``(B, 2k, d)``.
            y: Y, then Y': ``(2l, d)`` or ``(B, 2l, d)``.
            a: weights of x, ``(2k,)`` or ``(B, 2k)``; each half is normalised by itself. Uniform if None.
            b: weights of y, likewise.

        Returns:
            A scalar, or ``(B,)``.

        Raises:
            InputError: if a number of points is odd, or a half has no mass.
        """
        whole = Discrete(x, y, a, b, cost=self.cost, reg=self.reg)
        left, right = whole.sides()
        first, second = _halves("x", left)
        third, fourth = _halves("y", right)
        pairs = ((first, third), (first, fourth), (second, third), (second, fourth), (first, second), (third, fourth))
        problems = tuple(whole.between(one, other) for one, other in pairs)
        # No term is between a cloud and itself, so nothing has to cancel: the faster alternating update serves.
        solver = default_solver(whole) if self.solver is None else self.solver
        value, self.last = combine(self.WEIGHTS, problems, solver, self.value, **self.options)
        return value


def _halves(name: str, side: Side) -> tuple[Side, Side]:
    points, weights = side.points, side.weights
    count = points.shape[-2]
    if count % 2:
        raise InputError(
            f"{name} has {count} point{'s' if count > 1 else ''}; the minibatch energy distance splits it in two "
            "halves of equal size: pass an even number"
        )
    parts = []
    for part in (slice(None, count // 2), slice(count // 2, None)):
        if bool((weights.detach()[..., part].sum(-1) == 0).any()):
            raise InputError(f"a half of {name} has no mass: all of its weights are 0; spread the weights over both")
        parts.append(side.part(part))
    return parts[0], parts[1]
