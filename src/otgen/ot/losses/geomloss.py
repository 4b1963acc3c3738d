"""The interface of GeomLoss's ``SamplesLoss``, for code that was written against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.compilation import uncompiled
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.loop import LoopSettings, LossOptions, OnUnconverged
from otgen.ot.core.solver import Solver
from otgen.ot.costs.base import Cost
from otgen.ot.costs.pnorm import PNorm
from otgen.ot.costs.sqeuclidean import SqEuclidean
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.side import Side
from otgen.ot.discrete.sinkhorn.solver import Sinkhorn, SinkhornUpdate
from otgen.ot.discrete.solution import Solution
from otgen.ot.losses.combination import Combination, combine
from otgen.ot.losses.divergences import SinkhornDivergence
from otgen.ot.losses.unbalanced import UnbalancedCombination, combine_unbalanced, mass_term, transformed_potentials
from otgen.ot.regularisers.kl import KL
from otgen.ot.unbalanced.problem import Unbalanced, penalties

CostFunction = Callable[[Tensor, Tensor], Tensor]

# GeomLoss's, which say how it computes a value: here they are all one.
_BACKENDS = ("auto", "tensorized", "online", "multiscale")
# Annealing slower than this gains nothing, since the solve goes on to a tolerance.
_SLOWEST = 0.9
# The least tolerance that a scaling stands for.
_LEAST_TOL = 1e-6
# What to use instead of a loss that is not provided.
_REFUSED = {
    "gaussian": "use loss='energy', or torch directly: a kernel distance needs no transport solver",
    "laplacian": "use loss='energy', or torch directly: a kernel distance needs no transport solver",
    "hausdorff": "use loss='sinkhorn' with a small blur",
}


class SamplesLossOptions(TypedDict, total=False):
    """Options of :class:`SamplesLoss` that are given by name."""

    cost: Cost | CostFunction | None
    kernel: None
    cluster_scale: float | None
    debias: bool
    potentials: bool
    verbose: bool
    backend: str
    solver: Solver | None
    gradient: Gradient | None
    tol: float
    max_steps: int
    on_unconverged: OnUnconverged | str


class SamplesLoss(nn.Module):
    """GeomLoss's ``SamplesLoss`` (0.3, tensorized) on this package's solvers: the same calls, the same values.

    ``loss="sinkhorn"`` is the entropic transport value with the cost ``|x - y|^p / p`` and the weight ``blur^p``,
    debiased unless ``debias=False`` (Feydy et al. 2019). ``loss="energy"`` is the energy distance
    ``E|x - y| - E|x - x'| / 2 - E|y - y'| / 2``.

    Called with ``(x, y)``, ``(a, x, b, y)`` or ``(l_x, a, x, l_y, b, y)``: points ``(n, d)`` or ``(B, n, d)``, weights
    ``(n,)`` or ``(n, 1)``, or these with a leading batch dimension; labels ``l_x`` of clusters are ignored. Returns a
    scalar, or ``(B,)``. ``blur`` and ``reach`` may be set between calls.

    Differences:

    - GeomLoss stops when its annealing ends, converged or not. Here the solve goes on until the certified relative gap
      of the value is below ``tol``, which is ``(1 - scaling)^2 / 5`` by default: 5 % at 0.5, 0.2 % at 0.9 (the gap is
      of second order in the error of the gradient). So values agree up to GeomLoss's convergence error, and ``last``
      bounds the error of the value. ``tol=0, max_steps=10, solver=Sinkhorn.fastest()`` takes ten steps, whatever they
      reach.
    - Only with ``tol=0`` and no solver is ``scaling`` the factor of the blur per annealing step as in GeomLoss: each
      step multiplies eps by ``scaling^p``, or by 0.9 if that is smaller.
    - ``diameter``, ``truncate``, ``cluster_scale`` and ``verbose`` are accepted and ignored: they control how fast
      GeomLoss computes a value, or what it prints. Annealing starts at the largest cost.
    - Without ``reach`` weights must sum to 1, and the gradient with respect to them equals GeomLoss's up to a constant.
    - ``reach`` (marginals penalised by ``reach^p`` times KL, masses of any size) may be a pair, one number a side.
    - ``backend`` may be ``"auto"``, ``"tensorized"``, ``"online"`` or ``"multiscale"``: all mean that costs are
      computed block by block where their matrix would not fit, see Large problems (docs/problems.md). With ``reach``,
      ``loss="energy"`` or a function as the cost, the matrix has to fit.
    - A function as the cost may return inf: that pair is forbidden. So a cost that overflows forbids pairs, too.
    - Other losses and other backends are refused with an :class:`~otgen.errors.InputError`.

    ``potentials=True`` returns ``(F, G)`` instead of a number. Elsewhere in this package no return type depends on a
    flag; here GeomLoss's interface requires it. Without a batch their shape is ``(1, n)`` and ``(1, m)``, as in
    GeomLoss. F is differentiable in x, G in y. Without ``debias`` only their sum is determined: a constant may move
    from one to the other.

    Args:
        loss: ``"sinkhorn"`` or ``"energy"``.
        p: 1 or 2.
        blur: a length; ``eps = blur^p``.
        reach: a length, or a pair; ``rho = reach^p`` weighs the KL penalty of a marginal. None prescribes both.
        diameter: ignored.
        scaling: in (0, 1), see above.
        truncate: ignored.
        options: ``cost`` (a function of x ``(B, n, d)`` and y ``(B, m, d)`` that returns ``(B, n, m)``, or a
            :class:`Cost`), ``debias``, ``potentials``, ``backend``, ``kernel`` (None only), ``cluster_scale``,
            ``verbose``, and of this package ``solver`` and ``gradient`` (:class:`Envelope` or :class:`Unroll`),
            ``tol``, ``max_steps`` (2000), ``on_unconverged``.

    Attributes:
        last: the certified :class:`Combination` of the last call of ``"sinkhorn"``, in the units of the value; its
            ``eps`` belongs to the cost without the factor 1/p, and is ``p blur^p``.
    """

    last: Combination | UnbalancedCombination | None = None

    def __init__(
        self,
        loss: str = "sinkhorn",
        p: float = 2,
        blur: float = 0.05,
        reach: float | tuple[float | None, float | None] | None = None,
        diameter: float | None = None,
        scaling: float = 0.5,
        truncate: float | None = 5,
        **options: Unpack[SamplesLossOptions],
    ) -> None:
        super().__init__()
        named = ("loss", "p", "blur", "reach", "diameter", "scaling", "truncate")
        checks.options("SamplesLoss", options, [*named, *SamplesLossOptions.__annotations__])
        _refuse(loss, options)
        power = checks.plain(p)
        if power not in (1, 2):
            raise InputError(
                f"p must be 1 or 2, got {checks.shown(p)}; for other powers use SinkhornDivergence(cost=PNorm(p=...))"
            )
        blur = checks.number(blur, "blur must be a positive length, got {}; eps is blur^p", above=0)
        message = "scaling is the factor of the blur per annealing step, in (0, 1), got {}"
        scaling = checks.number(scaling, message, above=0, below=1)
        if reach is not None:
            penalties(_powers(reach, int(power)))
        self.reach = reach
        if reach is not None and loss != "sinkhorn":
            raise InputError(f"reach means nothing to loss={loss!r}; leave it out")
        self.loss, self.p, self.blur, self.scaling = loss, int(power), float(blur), float(scaling)
        self.debias, self.potentials = bool(options.get("debias", True)), bool(options.get("potentials"))
        self.cost: Cost | CostFunction | None = options.get("cost")
        self.options: LossOptions = {
            "tol": options.get("tol", max((1 - self.scaling) ** 2 / 5, _LEAST_TOL)),
            "max_steps": options.get("max_steps", 2000),
            "on_unconverged": options.get("on_unconverged", OnUnconverged.WARN),
            "gradient": options.get("gradient"),
        }
        self.solver = options.get("solver")

    @override
    @uncompiled
    def forward(self, *args: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The value, or the potentials.

        Args:
            args: ``x, y`` or ``a, x, b, y`` or ``l_x, a, x, l_y, b, y``.

        Returns:
            A scalar or ``(B,)``; with ``potentials=True`` F ``(B, n)`` and G ``(B, m)``, B being 1 without a batch.
        """
        a, x, b, y = _arguments(args)
        if self.reach is not None:
            return self._unbalanced(penalties(_powers(self.reach, self.p)), a, x, b, y)
        # |x - y|^p / p at eps = blur^p is 1/p times |x - y|^p at eps = p blur^p.
        factor = 1.0 if self.cost is not None else 1 / self.p
        like = Discrete(x, y, a, b, cost=self._cost(), reg=KL(eps=self.blur**self.p / factor))
        left, right = like.sides()
        if self.loss == "energy":
            return self._energy(left, right)
        pairs = ((left, right), (left, left), (right, right)) if self.debias else ((left, right),)
        weights = tuple(factor * w for w in SinkhornDivergence.WEIGHTS[: len(pairs)])
        solver = self.solver
        if solver is None and LoopSettings(**self.options).tol == 0:
            # GeomLoss's own steps. A debiased value needs terms that cancel; for a single term the alternating update
            # is faster.
            update = SinkhornUpdate.SYMMETRIC if self.debias else SinkhornUpdate.ALTERNATING
            solver = Sinkhorn(update=update, anneal=min(self.scaling**self.p, _SLOWEST))
        problems = tuple(self._problem(u, v, like) for u, v in pairs)
        value, self.last = combine(weights, problems, solver, **self.options)
        return self._potentials(left, right, self.last.solutions, factor) if self.potentials else value

    @override
    def extra_repr(self) -> str:
        return f"loss={self.loss!r}, p={self.p}, blur={self.blur}, scaling={self.scaling}, debias={self.debias}"

    def _unbalanced(
        self, powers: tuple[float, float], a: Tensor | None, x: Tensor, b: Tensor | None, y: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The value with penalised marginals, or its potentials; in units of the cost without the factor 1/p inside."""
        factor = 1.0 if self.cost is not None else 1 / self.p
        rho, reg = (powers[0] / factor, powers[1] / factor), KL(eps=self.blur**self.p / factor)

        def problem(u: Tensor, v: Tensor, of_u: Tensor | None, of_v: Tensor | None) -> Unbalanced:
            if self.cost is None or isinstance(self.cost, Cost):
                return Unbalanced(u, v, of_u, of_v, rho=rho, cost=self._cost(), reg=reg)
            return Unbalanced.from_matrix(self._costs(u, v), of_u, of_v, rho=rho, reg=reg)

        cross = problem(x, y, a, b)
        m_a, m_b = (masses.double().sum(-1) for masses in (cross.a, cross.b))
        if self.debias:
            problems: tuple[Unbalanced, ...] = (cross, problem(x, x, a, a), problem(y, y, b, b))
            constant = mass_term(cross)
        else:
            # A constant of GeomLoss's, 0 for masses of 1, that makes the value one of the marginals' penalties alone.
            problems = (cross,)
            constant = reg.weight * ((m_a + m_b) / 2 - m_a * m_b)
        scaled = tuple(factor * weight for weight in SinkhornDivergence.WEIGHTS[: len(problems)])
        value, self.last = combine_unbalanced(scaled, problems, self.solver, factor * constant, **self.options)
        if not self.potentials:
            return value
        f, g = transformed_potentials(problem, (x, y), (a, b), self.last.solutions)
        return _batched(factor * f), _batched(factor * g)

    def _cost(self) -> Cost:
        if isinstance(self.cost, Cost):
            return self.cost
        return PNorm(p=1) if self.p == 1 or self.loss == "energy" else SqEuclidean()

    def _problem(self, rows: Side, columns: Side, like: Discrete) -> Discrete:
        if self.cost is None or isinstance(self.cost, Cost):
            return like.between(rows, columns)
        costs = self._costs(rows.points, columns.points)
        return Discrete.from_matrix(costs, rows.weights, columns.weights, reg=like.reg)

    def _costs(self, x: Tensor, y: Tensor) -> Tensor:
        """The cost matrix, without the factor 1/p."""
        if self.cost is None or isinstance(self.cost, Cost):
            return self._cost()(x, y)
        single = x.ndim == 2
        matrix = self.cost(x.unsqueeze(0), y.unsqueeze(0)) if single else self.cost(x, y)
        batch = (1,) if single else tuple(x.shape[:-2])
        expected = (*batch, x.shape[-2], y.shape[-2])
        if not isinstance(matrix, Tensor) or tuple(matrix.shape) != expected:
            got = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
            raise InputError(f"cost must return a tensor of shape {expected}, (B, n, m); got {got}")
        return matrix.squeeze(0) if single else matrix

    def _potentials(
        self, left: Side, right: Side, solutions: tuple[Solution, ...], factor: float
    ) -> tuple[Tensor, Tensor]:
        cross, reg = solutions[0], solutions[0].problem.reg

        def transformed(rows: Side, columns: Side, potential: Tensor) -> Tensor:
            # The soft transform of a potential held constant: exact, and differentiable in the points of its own side.
            z = potential.to(rows.points.dtype).unsqueeze(-2) - self._costs(rows.points, columns.points.detach())
            return factor * reg.soft_transform(z, columns.weights.detach().unsqueeze(-2), dim=-1)

        def own(side: Side, solution: Solution) -> Tensor:
            # Both potentials are one at the optimum, up to a constant that steps in turns move from one to the other.
            middle = (solution.potentials.f + solution.potentials.g) / 2
            once_more = transformed(side, side, middle)
            # Half of the step, whose error is of second order, with all of its derivative.
            return once_more + (factor * middle.to(once_more.dtype) - once_more.detach()) / 2

        f, g = transformed(left, right, cross.potentials.g), transformed(right, left, cross.potentials.f)
        if self.debias:
            f, g = f - own(left, solutions[1]), g - own(right, solutions[2])
        return _batched(f), _batched(g)

    def _energy(self, left: Side, right: Side) -> Tensor | tuple[Tensor, Tensor]:
        """``E|x - y| - E|x - x'| / 2 - E|y - y'| / 2``, or its derivatives with respect to the weights."""

        def mean(rows: Side, columns: Side) -> Tensor:
            costs = self._costs(rows.points, columns.points)
            checks.extremes(costs.detach())
            return (costs @ columns.weights.unsqueeze(-1)).squeeze(-1)

        to_x, to_y = mean(left, right), mean(right, left)
        own_x, own_y = mean(left, left), mean(right, right)
        if self.potentials:
            return _batched(to_x - own_x), _batched(to_y - own_y)
        return (left.weights * (to_x - own_x / 2)).sum(-1) - (right.weights * own_y / 2).sum(-1)


def _powers(reach: Any, power: int) -> tuple[float, float]:
    """``reach^p``, of either side."""
    message = "reach must be a positive length, or a pair of them, one a side, got {}; rho is reach^p"
    pair = tuple(reach) if isinstance(reach, (tuple, list)) else (reach, reach)
    if len(pair) != 2:
        raise InputError(message.format(checks.shown(reach)))
    left, right = (
        math.inf if side is None or checks.plain(side) == math.inf else checks.number(side, message, above=0) ** power
        for side in pair
    )
    return left, right


def _refuse(loss: str, options: SamplesLossOptions) -> None:
    """Raise InputError for what GeomLoss has and this class does not."""
    if loss not in ("sinkhorn", "energy"):
        remedy = _REFUSED.get(loss, "take 'sinkhorn' or 'energy'")
        raise InputError(f"there is no loss {loss!r} here: {remedy}")
    if options.get("backend", "auto") not in _BACKENDS:
        raise InputError(
            f"there is no backend {options['backend']!r} here; take one of {', '.join(_BACKENDS)}, which are one: "
            "costs are computed block by block where their matrix would not fit (see Large problems, docs/problems.md)"
        )
    if options.get("kernel") is not None:
        raise InputError("kernel= belongs to losses that are not here; leave it out")
    cost = options.get("cost")
    if isinstance(cost, str):
        raise InputError(f"cost must be a function or a Cost, got the formula {cost!r}; write cost=lambda x, y: ...")
    if cost is not None and (loss == "energy" or not callable(cost)):
        reason = "means nothing to loss='energy'" if loss == "energy" else f"must be a function or a Cost, got {cost!r}"
        raise InputError(f"cost {reason}; leave it out for |x - y|^p / p")


def _arguments(args: tuple[Tensor, ...]) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor]:
    """``a, x, b, y`` from any form of the call, weights without their extra dimension."""
    if len(args) == 2:
        return None, args[0], None, args[1]
    if len(args) == 6:
        # Labels of clusters, which change nothing but GeomLoss's speed.
        for name, labels, points in (("l_x", args[0], args[2]), ("l_y", args[3], args[5])):
            _labelled(name, labels, points)
        args = (*args[1:3], *args[4:])
    if len(args) != 4:
        raise InputError(f"SamplesLoss is called with (x, y) or (a, x, b, y), got {len(args)} arguments")
    a, x, b, y = args
    if all(isinstance(part, Tensor) for part in args) and max(a.ndim, b.ndim) > min(x.ndim, y.ndim):
        raise InputError(
            f"SamplesLoss is called with (a, x, b, y), weights before their points, got shapes "
            f"{', '.join(str(tuple(part.shape)) for part in args)}; (x, y, a, b) is the order of SinkhornDivergence"
        )
    return _flat("a", a, x), x, _flat("b", b, y), y


def _labelled(name: str, labels: Tensor | None, points: Tensor) -> None:
    """Check that there is a label for each point, or none at all."""
    if labels is None or not isinstance(points, Tensor):
        return
    if not isinstance(labels, Tensor) or labels.shape not in (points.shape[:-1], (*points.shape[:-1], 1)):
        got = f"has shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else f"is {checks.shown(labels)}"
        raise InputError(
            f"{name} {got}, and {name[-1]} has {points.shape[-2]} points; labels are one a point, or leave them out"
        )


def _flat(name: str, weights: Tensor, points: Tensor) -> Tensor:
    for value in (weights, points):
        checks.lifted(name, value, (1, 2, 3))
    extra = weights.ndim == points.ndim and weights.shape[-1] == 1 and weights.shape[-2] == points.shape[-2]
    return weights.squeeze(-1) if extra else weights


def _batched(potential: Tensor) -> Tensor:
    return potential if potential.ndim == 2 else potential.unsqueeze(0)
