"""Sinkhorn's algorithm on a stabilised kernel: log-domain safety at the speed of matrix-vector products.

The potentials are ``f = F + eps log u``, ``g = G + eps log v`` with ``F``, ``G`` absorbed in the kernel
``K = exp((F + G - C) / eps)``. In this form one half-step is ``u = 1 / (K (b v))``. K is built again when u or v have
drifted so far that a product could leave the dtype's range. Plain steps need no test for this inside the loop: the
half-steps are non-expansive in the sup norm, so each later step moves log u no further than the last one did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.precision import ignore_fp_flags
from otgen.ot.discrete.potentials import Potentials
from otgen.ot.discrete.problem import Discrete
from otgen.ot.discrete.sinkhorn.few_pairs import FewPairs, has_few_pairs
from otgen.ot.discrete.sinkhorn.few_pairs_iterate import FewPairsIterate
from otgen.ot.discrete.sinkhorn.kernel import MOST_DRIFT, Kernel, KernelUpdate
from otgen.ot.discrete.sinkhorn.kernel_iterate import KernelIterate
from otgen.ot.discrete.sinkhorn.streaming import Pace, Sweep, coarse_start, sweep
from otgen.ot.discrete.sinkhorn.updates import alternating, anderson, relaxed, symmetric, truncated_newton
from otgen.ot.discrete.solver import DiscreteIterate, DiscreteSolver
from otgen.ot.regularisers.kl import KL

# The eps at which annealing begins under Newton's acceleration, as a fraction of the largest cost.
_FIRST_EPS = 0.06
# Steps of a problem with few pairs, besides those of annealing, before the accuracy is checked.
_FIRST_STEPS = 3


class SinkhornUpdate(StrEnum):
    """Which half-steps a step consists of."""

    ALTERNATING = "alternating"
    """f from g, then g from the new f: the fastest for a single problem."""
    SYMMETRIC = "symmetric"
    """f and g both from the old ones, each averaged with its old value: keeps f = g if x = y and a = b."""


class Acceleration(StrEnum):
    """How alternating steps are accelerated, once annealing has ended."""

    NONE = "none"
    """Not at all: the plain steps of the papers."""
    RELAXED = "relaxed"
    """Over-relaxation: each half-step longer by a factor. Locally convergent, safeguarded."""
    ANDERSON = "anderson"
    """Extrapolation from the last few steps. Safeguarded."""
    NEWTON = "newton"
    """Truncated Newton steps on the semi-dual, by conjugate gradients on the kernel: the fewest sweeps by far if eps is
    small. One step costs some ten sweeps."""


@dataclass
class SinkhornState:
    """State of :class:`Sinkhorn`.

    Attributes:
        f: ``(..., n)``, units of the cost; the part absorbed in the kernel if there is one.
        g: ``(..., m)``.
        largest: the largest cost: annealing starts there, and for a larger eps the scalings are only roundoff.
        annealed: whether the solve began from a warm start, which skips annealing.
        steps: steps taken since `init`.
        stage: how often annealing has lowered eps.
        eps: the weight of the last step (larger than the problem's while annealing).
        change: a bound on how far the next step moves ``log u``, ``log v``; infinite while unknown.
        kernel: the scaled form, or None while the state is in f and g alone.
        few: the problem in arrays, if its pairs are few.
        sweep: the last pass of a streamed problem, if it was at this g.
        pace: the step lengths of a streamed problem.
    """

    f: Tensor
    g: Tensor
    largest: float = 0.0
    annealed: bool = False
    steps: int = 0
    stage: int = 0
    eps: float = math.inf
    change: float = math.inf
    kernel: Kernel | None = None
    few: FewPairs | None = None
    sweep: Sweep | None = None
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, kw_only=True)
class Sinkhorn(DiscreteSolver):
    """Sinkhorn's algorithm for KL regularisation (Cuturi 2013), from eps = 1e-6 to 1e6 times the mean cost.

    Without arguments it takes the plain steps of the papers. :func:`otgen.ot.solve` uses :meth:`fastest` if an accuracy
    is asked for.

    Attributes:
        update: alternating, or symmetric as a debiased divergence needs it.
        anneal: factor in (0, 1) by which eps falls each step, from near the largest cost (a few per cent of it under
            Newton's acceleration, which lowers eps once the gap is below it) down to the problem's eps; None starts at
            the problem's eps. Annealing pays off if eps is below a few per cent of the mean cost. Halving eps is cheap:
            the kernel is squared.
        acceleration: of alternating steps, after annealing; Newton's also during annealing. Newton's systems of a
            problem with at most 1,024 pairs are factorised, in float64.
        relaxation: factor of the over-relaxed half-steps, in (1, 2).
        depth: the number of steps that Anderson's extrapolation uses, at least 2.
        coarse: for a problem that is streamed, the number of points of each side, drawn without replacement, that are
            solved first to give a start; None starts cold. On such a problem over-relaxation replaces the other
            accelerations, whose sweeps would cost a pass each.
    """

    check_every: ClassVar[int] = 10
    update: SinkhornUpdate = SinkhornUpdate.ALTERNATING
    anneal: float | None = None
    acceleration: Acceleration = Acceleration.NONE
    relaxation: float = 1.5
    depth: int = 4
    coarse: int | None = None

    def __post_init__(self) -> None:
        if self.anneal is not None:
            message = "anneal is the factor of eps per step and must lie in (0, 1), got {}"
            checks.settle(self, anneal=checks.number(self.anneal, message, above=0, below=1))
        if self.update is SinkhornUpdate.SYMMETRIC and self.acceleration is not Acceleration.NONE:
            raise InputError(
                f"symmetric steps cannot be accelerated: f and g would not stay equal; got "
                f"acceleration={self.acceleration}; leave it out, or use update=SinkhornUpdate.ALTERNATING"
            )
        message = "relaxation must lie in (1, 2), got {}; 1.5 is a good start"
        checks.settle(self, relaxation=checks.number(self.relaxation, message, above=1, below=2))
        checks.settle(self, depth=checks.count("depth", self.depth, 2))
        if self.coarse is not None:
            checks.settle(self, coarse=checks.count("coarse", self.coarse, 1))

    @classmethod
    def fastest(cls) -> Sinkhorn:
        """The settings that reach a relative gap of 1e-3 the fastest.

        Measured on images and on mixtures in the plane, eps from 0.002 to 0.05 of the mean cost: two to twenty times
        faster than plain, over-relaxed, extrapolated or annealed steps alone.
        """
        return cls(anneal=0.5, acceleration=Acceleration.NEWTON, coarse=4000)

    @override
    def accepts(self, problem: Discrete) -> None:
        super().accepts(problem)
        if not isinstance(problem.reg, KL):
            raise InputError(
                f"Sinkhorn cannot solve a problem with {type(problem.reg).__name__}: its scaling form exists for KL "
                "only; use Newton() for Quadratic, Exact() for NoReg, or leave the solver out"
            )

    @override
    def default_check_every(self, problem: Discrete, state: SinkhornState) -> int:
        newton_steps = self.acceleration is Acceleration.NEWTON and not problem.streamed
        # Steps that are recorded are plain ones.
        if not torch.is_grad_enabled() and self._begins_few(problem, state):
            # None of the first steps is worth a check.
            return self._stages(problem, state) + _FIRST_STEPS
        return 1 if newton_steps else self.check_every

    @override
    def init(
        self, problem: Discrete, start: Potentials | None = None, rng: torch.Generator | None = None
    ) -> SinkhornState:
        largest = problem.largest_cost
        if start is None and problem.streamed and self.coarse is not None:
            start = coarse_start(problem, Sinkhorn(anneal=0.5, acceleration=Acceleration.NEWTON), self.coarse, rng)
        if start is not None:
            # A warm start skips annealing and goes on at the problem's eps.
            f, g = (p.detach().to(problem.dtype).clone() for p in (start.f, start.g))
            return SinkhornState(f, g, largest, annealed=True)
        return SinkhornState(torch.zeros_like(problem.a), torch.zeros_like(problem.b), largest)

    @override
    def step(self, problem: Discrete, state: SinkhornState) -> SinkhornState:
        f, g = self._absorbed(state)
        eps = self._eps(problem, state)
        reg = KL(eps=eps)
        a, b = problem.a.unsqueeze(-1), problem.b.unsqueeze(-2)
        f_new = reg.soft_transform(g.unsqueeze(-2) - problem.matrix, b, dim=-1)
        if self.update is SinkhornUpdate.SYMMETRIC:
            g_new = reg.soft_transform(f.unsqueeze(-1) - problem.matrix, a, dim=-2)
            f_new, g_new = (f + f_new) / 2, (g + g_new) / 2
        else:
            g_new = reg.soft_transform(f_new.unsqueeze(-1) - problem.matrix, a, dim=-2)
        with torch.no_grad():
            change = max(float((f_new - f).abs().max()), float((g_new - g).abs().max())) / eps
        return replace(
            state, f=f_new, g=g_new, steps=state.steps + 1, stage=state.stage + 1, eps=eps, change=change, kernel=None
        )

    @override
    @torch.no_grad()
    def advance(self, problem: Discrete, state: SinkhornState, steps: int) -> SinkhornState:
        if problem.streamed:
            return self._stream(problem, state, steps)
        if state.few is not None or self._begins_few(problem, state):
            return self._few_steps(problem, state, steps)
        while steps > 0:
            done = self._fused(problem, state, steps)
            if done == 0:
                state, done = self.step(problem, state), 1
            steps -= done
        return state

    @override
    def potentials(self, problem: Discrete, state: SinkhornState) -> Potentials:
        if problem.streamed:
            return Potentials(self._swept(problem, state).rows, state.g)
        if state.few is not None:
            return state.few.at_eps(problem.eps).potentials
        kernel = state.kernel
        if kernel is not None and kernel.eps == problem.eps:
            return kernel.potentials(state.f, state.g)
        _, g = self._absorbed(state)
        z = g.unsqueeze(-2) - problem.matrix
        return Potentials(problem.reg.soft_transform(z, problem.b.unsqueeze(-2), dim=-1), g)

    @override
    @torch.no_grad()
    def marginal_error(self, problem: Discrete, state: SinkhornState) -> float:
        if problem.streamed:
            return float(self._swept(problem, state).column_error(problem.b).max())
        return super().marginal_error(problem, state)

    @override
    def iterate(self, problem: Discrete, state: SinkhornState, previous: DiscreteIterate | None) -> DiscreteIterate:
        if state.few is not None:
            return FewPairsIterate(self, problem, state, state.few)
        kernel = state.kernel
        if kernel is not None:
            return KernelIterate(self, problem, state, kernel)
        return super().iterate(problem, state, previous)

    def _begins_few(self, problem: Discrete, state: SinkhornState) -> bool:
        """Whether the solve starts here, and goes by Newton steps without a kernel."""
        return self.acceleration is Acceleration.NEWTON and state.steps == 0 and has_few_pairs(problem)

    def _few_steps(self, problem: Discrete, state: SinkhornState, steps: int) -> SinkhornState:
        with ignore_fp_flags():
            few = state.few
            if few is None:
                g = state.g.double().numpy() if state.annealed else None
                state.few = few = FewPairs(problem, g, self._eps(problem, state))
            stages = self._stages(problem, state)
            for _ in range(steps):
                annealing = state.stage < stages
                few.step(self._eps(problem, state) if annealing else problem.eps)
                state.stage += annealing and few.near
            state.steps += steps
        state.eps, (state.f, state.g) = few.at.eps, few.at.potentials.pair
        return state

    def _stream(self, problem: Discrete, state: SinkhornState, steps: int) -> SinkhornState:
        """Take steps that read the pairs once each."""
        relaxes = self.update is SinkhornUpdate.ALTERNATING and self.acceleration is not Acceleration.NONE
        for _ in range(steps):
            eps = self._eps(problem, state)
            if self.update is SinkhornUpdate.SYMMETRIC:
                both = sweep(problem, state.g, eps, state.f, 0.0)
                f, g = (state.f + both.rows) / 2, state.g - eps * both.log_columns / 2
            else:
                factor = state.pace.factor if relaxes else 1.0
                swept = state.sweep
                if factor != 1 or swept is None or swept.eps != eps:
                    swept = sweep(problem, state.g, eps, state.f, factor)
                f, g = swept.f, state.g - eps * factor * swept.log_columns
                state.pace.after(float(swept.column_error(problem.b).max()), settled=eps == problem.eps)
            state = replace(state, f=f, g=g, steps=state.steps + 1, stage=state.stage + 1, eps=eps, sweep=None)
        return state

    def _swept(self, problem: Discrete, state: SinkhornState) -> Sweep:
        if state.sweep is None or state.sweep.eps != problem.eps:
            state.sweep = sweep(problem, state.g, problem.eps)
        return state.sweep

    def _kernel_update(self, eps: float, problem: Discrete) -> KernelUpdate:
        if self.update is SinkhornUpdate.SYMMETRIC:
            return symmetric
        if eps > problem.eps and self.acceleration is not Acceleration.NEWTON:
            return alternating
        updates: dict[Acceleration, KernelUpdate] = {
            Acceleration.NONE: alternating,
            Acceleration.RELAXED: partial(relaxed, factor=self.relaxation),
            Acceleration.ANDERSON: partial(anderson, depth=self.depth),
            Acceleration.NEWTON: truncated_newton,
        }
        return updates[self.acceleration]

    def _fused(self, problem: Discrete, state: SinkhornState, steps: int) -> int:
        """Take up to ``steps`` steps on the kernel, in place. Returns the number taken; 0 if it is not safe."""
        eps = self._eps(problem, state)
        if eps > state.largest:
            # u and v are 1 up to roundoff, and eps log u is only that roundoff: the log domain keeps the digits.
            return 0
        update, kernel = self._kernel_update(eps, problem), state.kernel
        plain = update in (alternating, symmetric)
        if kernel is not None and kernel.eps == 2 * eps:
            # Turn the kernel into that of half the eps, if that can be done without building it again.
            if not kernel.halvable and kernel.absorbable:
                state.f, state.g = self._absorbed(state)
                kernel.absorb()
            if kernel.halvable:
                kernel.halve()
        # Steps of other updates may move further than the last one did, so they are taken singly, and undone if out of
        # range.
        if kernel is not None and kernel.eps == eps:
            steps_left = kernel.steps_left() if plain else int(kernel.drift <= kernel.most_drift)
            count = min(steps, steps_left if plain and eps == problem.eps else 1)
            if steps_left > 0 and kernel.advance(count, update):
                return self._took(state, kernel, count)
        state.f, state.g = self._absorbed(state)
        state.kernel = None
        if math.isinf(state.change) and update is not symmetric:
            return self._first(problem, state, eps)
        if math.isinf(state.change) and not self._starts_in_range(problem, state, eps):
            return 0
        # The first step after a build is checked; later plain steps move no further than it did.
        kernel = Kernel.build(problem, state.f, state.g, eps)
        if not kernel.advance(1, update) and (plain or not kernel.advance(1, alternating)):
            return 0
        state.kernel = kernel
        return self._took(state, kernel, 1)

    def _starts_in_range(self, problem: Discrete, state: SinkhornState, eps: float) -> bool:
        """Whether a cold start with a kernel is worth a try."""
        most = MOST_DRIFT[problem.dtype]
        if state.largest / eps <= 4 * most:
            return True
        # With eps so far below the costs it leaves the range, unless each point has another one near it.
        reduced = problem.matrix.detach()
        if state.f.any() or state.g.any():
            reduced = reduced - state.f.unsqueeze(-1) - state.g.unsqueeze(-2)
        return max(float(reduced.amin(dim).max()) for dim in (-2, -1)) <= most * eps

    def _first(self, problem: Discrete, state: SinkhornState, eps: float) -> int:
        """The first alternating step of a cold start, which does not depend on f.

        The absorbed potentials are hard transforms, of g and back, so that each row and each column of the kernel
        contains a one. The difference from the initial g becomes a scaling.
        """
        reduced = problem.matrix.detach() - state.g.unsqueeze(-2)
        f = reduced.amin(-1)
        excess = reduced.sub_(f.unsqueeze(-1)).amin(-2)
        if float(excess.max()) / eps > 4 * MOST_DRIFT[problem.dtype]:
            return 0
        kernel = Kernel.build(problem, f, state.g + excess, eps)
        kernel.begin((excess / eps).exp())
        if not kernel.advance(1, alternating):
            return 0
        state.f, state.g, state.kernel = f, state.g + excess, kernel
        return self._took(state, kernel, 1)

    def _took(self, state: SinkhornState, kernel: Kernel, count: int) -> int:
        state.eps, state.change = kernel.eps, kernel.change
        state.steps += count
        state.stage += self.anneal is None or kernel.near
        return count

    def _absorbed(self, state: SinkhornState) -> tuple[Tensor, Tensor]:
        if state.kernel is None:
            return state.f, state.g
        kernel = state.kernel
        return state.f + kernel.eps * kernel.log_u(), state.g + kernel.eps * kernel.log_v()

    def _eps(self, problem: Discrete, state: SinkhornState) -> float:
        if self.anneal is None or state.annealed:
            return problem.eps
        left = self._stages(problem, state) - state.stage
        return problem.eps / self.anneal**left if left > 0 else problem.eps

    def _stages(self, problem: Discrete, state: SinkhornState) -> int:
        """How often annealing lowers eps."""
        if self.anneal is None or state.annealed:
            return 0
        # Newton's steps need no larger first eps than some fifth of the mean cost.
        first = _FIRST_EPS if self.acceleration is Acceleration.NEWTON else 1.0
        return math.floor(math.log(max(first * state.largest / problem.eps, 1.0)) / -math.log(self.anneal))
