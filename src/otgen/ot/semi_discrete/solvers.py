"""Solvers of semi-discrete problems: stochastic ascent of the semi-dual."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.core import checks
from otgen.ot.core.problem import Problem
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import Steps, Stopping
from otgen.ot.regularisers.kl import KL
from otgen.ot.semi_discrete.potentials import AtomPotentials
from otgen.ot.semi_discrete.problem import SemiDiscrete
from otgen.ot.semi_discrete.solution import SemiDiscreteIterate, SemiDiscreteSolution
from otgen.renamed import accepts_former_options

# The eps at which annealing begins, relative to the mean cost.
_TOP = 0.5
# Annealing stops before the problem's eps once the spread reaches this fraction of that of a hard assignment.
_HARD = 0.5
# Afterwards the softmax's eps decays on the scale of this many samples per atom.
_SAMPLES_PER_ATOM = 4.0
# Annealing never goes below this fraction of the mean cost.
_NOTHING = 1e-6
# The gain stays below 1: at 1, an atom that gets no mass in a batch would get an infinite potential.
_MOST_GAIN = 0.95
# Consecutive batches count as favouring the same atoms if the correlation of their surpluses exceeds both `_ALIKE` and
# `_ERRORS` standard errors.
_ALIKE, _ERRORS = 0.1, 3.0
# The scale of the steps is multiplied by `_RISE` if they do, and by `_FALL` if not.
_RISE, _FALL = 1.3, 0.8
# The average gives its latest term the weight (1 + this) / (t + this): early iterates are forgotten like t^-(this + 1).
_FORGET = 3.0


@dataclass
class SemiDiscreteState:
    """State of a semi-discrete solver.

    Attributes:
        g: the last iterate, ``(m,)``, units of the cost.
        average: the running mean of the iterates, which is the answer.
        rng: the generator of the solver's own samples.
        check_seed: the seed of the samples that accuracy checks draw.
        steps: steps taken since `init`.
        averaged: number of iterates in the average, or the count that a warm start resumes from.
        eps: scale of the next step, falling while it is annealed.
        scaled: whether annealing has ended.
        floor: the eps at which annealing ended.
        surplus: relative excess mass ``p^_j / b_j - 1`` of each atom in the last batch, ``(m,)``; kept only if the
            solver follows a moving source.
        buffer: scratch memory, ``(K, m)``, overwritten by each step.
    """

    g: Tensor
    average: Tensor
    surplus: Tensor
    rng: torch.Generator
    check_seed: int
    steps: int = 0
    averaged: int = 0
    eps: float = 0.0
    scaled: bool = False
    floor: float = 0.0
    buffer: Tensor | None = None


# What a solver can start from.
Start = SemiDiscreteState | AtomPotentials


@dataclass(frozen=True, kw_only=True)
class SemiDiscreteSolver(Solver):
    """Base class of the solvers of semi-discrete problems. A new one implements `_begin` and `_update`.

    Attributes:
        batch: samples per step, K.
        check_samples: samples of an accuracy check, drawn separately, so that checks change no step. The standard error
            of the chi-square estimate for m atoms is at best about ``sqrt(2 m) / check_samples``.
    """

    kinds: ClassVar[tuple[type[Problem], ...]] = (SemiDiscrete,)
    check_every: ClassVar[int] = 100
    unrecorded: ClassVar[str] = "its steps are not recorded; descend solution.loss(x), which needs no gradient option"
    # How small a marginal error can be verified depends on the atoms and on the samples of a check: no default fits.
    until: ClassVar[Stopping] = Steps()

    batch: int = 100
    check_samples: int = 1600

    def __post_init__(self) -> None:
        samples = checks.count("check_samples", self.check_samples, 32)
        checks.settle(self, batch=checks.count("batch", self.batch, 1), check_samples=samples)

    @override
    def start(self, problem: SemiDiscrete, warm_start: Any) -> Start:
        kinds = (SemiDiscreteSolution, SemiDiscreteState, AtomPotentials)
        checks.component("warm_start", warm_start, kinds, "an earlier solution")
        start: Start = warm_start.state if isinstance(warm_start, SemiDiscreteSolution) else warm_start
        g = start.average if isinstance(start, SemiDiscreteState) else start.g
        g = checks.tensor("the warm start's g", g)
        if g.shape != problem.b.shape:
            raise InputError(
                f"the warm start has potentials of shape {tuple(g.shape)}, the problem needs {tuple(problem.b.shape)}"
            )
        if not bool(torch.isfinite(g).all()):
            raise InputError("the warm start holds NaN or infinite potentials; leave it out")
        return start

    @override
    def init(
        self, problem: SemiDiscrete, start: Start | None = None, rng: torch.Generator | None = None
    ) -> SemiDiscreteState:
        rng = checks.generator(rng)
        seeds = torch.randint(1 << 31, (2,), generator=rng, device=rng.device).tolist()
        g = torch.zeros_like(problem.b)
        if start is not None:
            g = (start.average if isinstance(start, SemiDiscreteState) else start.g).to(g).clone()
        own = torch.Generator(device=rng.device).manual_seed(seeds[0])
        state = SemiDiscreteState(g, g.clone(), torch.zeros_like(g), own, seeds[1], eps=problem.weight)
        self._begin(problem, state, start)
        return state

    @override
    @torch.no_grad()
    def step(self, problem: SemiDiscrete, state: SemiDiscreteState) -> SemiDiscreteState:
        return self.advance(problem, copy.deepcopy(replace(state, buffer=None)), 1)

    @override
    @torch.no_grad()
    def advance(self, problem: SemiDiscrete, state: SemiDiscreteState, steps: int) -> SemiDiscreteState:
        if state.buffer is None:
            state.buffer = problem.atoms.buffer(state.g, self.batch)
        for _ in range(steps):
            self._update(problem, state, problem.draw(self.batch, state.rng))
            state.steps += 1
        return state

    @override
    def iterate(self, problem: SemiDiscrete, state: SemiDiscreteState, previous: Any) -> SemiDiscreteIterate:
        return SemiDiscreteIterate(problem, state, self.check_samples)

    @abstractmethod
    def _begin(self, problem: SemiDiscrete, state: SemiDiscreteState, start: Start | None) -> None:
        """Complete a new state, in place."""

    @abstractmethod
    def _update(self, problem: SemiDiscrete, state: SemiDiscreteState, x: Tensor) -> None:
        """One step with the samples ``x``, ``(K, d)``, in place."""


@accepts_former_options
@dataclass(frozen=True, kw_only=True)
class AveragedSGD(SemiDiscreteSolver):
    """Averaged stochastic gradient ascent (Genevay et al. 2016), as Algorithm 1 of Houdard et al. 2021 uses it.

    ``g~_k = g~_{k-1} + C / sqrt(k) (b - p(x_k))``; the result is the running mean of the g~. It is slow if eps is far
    below the costs, since the potentials have to move as far as the costs: see :class:`StochasticSinkhorn`. A warm
    start begins again at k = 1.

    Attributes:
        rate: C, in units of the cost; if None, ``eps / max(b)``, or ``mean cost / (100 max(b))`` for eps = 0.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None:
            message = "rate is the first step's length and must be positive, got {}; None chooses one"
            checks.settle(self, rate=checks.number(self.rate, message, above=0))

    @override
    def _begin(self, problem: SemiDiscrete, state: SemiDiscreteState, start: Start | None) -> None:
        pass

    @override
    def _update(self, problem: SemiDiscrete, state: SemiDiscreteState, x: Tensor) -> None:
        rate = self.rate
        if rate is None:
            scale = problem.weight if isinstance(problem.reg, KL) else problem.mean_cost / 100
            rate = scale / float(problem.b.max())
        shares, _ = problem.atoms.shares(x, state.g, problem.weight, state.buffer)
        state.averaged += 1
        state.g.add_(problem.b - shares, alpha=rate / math.sqrt(state.averaged))
        state.average.lerp_(state.g, 1 / state.averaged)


@accepts_former_options
@dataclass(frozen=True, kw_only=True)
class StochasticSinkhorn(SemiDiscreteSolver):
    """Sinkhorn's update of the atoms from batches, annealed, damped and averaged.

    One step is ``g_j <- g_j - eps_t log(1 - r + r p^_j / b_j)``, with p^_j the share of the batch that atom j gets and
    r the gain. At r = 1 it is Sinkhorn's own update; for small r it is a gradient step, divided by the weight of each
    atom. It is only logarithmic in the surplus of an atom that a batch happens to favour (p^_j / b_j reaches m / K).

    eps_t starts at half the mean cost and falls by the factor ``anneal`` per step, so that the potentials reach the
    scale of the costs in some ten steps. Meanwhile ``r = 1 / (1 + (spread - 1) / K)``, which balances the sampling
    noise of one batch against its signal, with ``spread = mean_i sum_j p_ij^2 / b_j``. Annealing ends at the problem's
    eps, or earlier if the assignment is nearly hard (half the spread of a hard assignment). The eps at which it ended
    remains the scale of the steps, with ``r = gain / sqrt(t)``; the softmax's eps decreases further as
    ``1 / sqrt(1 + t K / (4 m))``, down to the problem's. The iterates are averaged with weights that favour the later
    ones. With n samples, no method can be expected to reach a chi-square below ``spread / n``.

    If the source moves between two solves, as a generator in training does, g must move again, and the scale at which
    annealing ended may be far too small for that. With ``follow`` the scale rises while consecutive batches favour the
    same atoms (their surpluses, which are noise at the optimum, correlate), and falls back when they do not.

    Attributes:
        anneal: factor of eps per annealing step, in (0, 1).
        gain: r at the first step of the averaging phase, in (0, 1).
        memory: a warm start from a solution resumes with its step count t, but at most with this one. A small value
            follows a moving source faster; a large one averages more.
        follow: let the scale of the steps rise if g lags behind a moving source.
    """

    anneal: float = 0.7
    gain: float = 0.5
    memory: int = 100
    follow: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("anneal", "gain"):
            message = f"{name} must lie strictly between 0 and 1, got {{}}"
            checks.settle(self, **{name: checks.number(getattr(self, name), message, above=0, below=1)})
        memory, follow = checks.count("memory", self.memory, 0), checks.flag("follow", self.follow)
        checks.settle(self, memory=memory, follow=follow)

    @override
    def _begin(self, problem: SemiDiscrete, state: SemiDiscreteState, start: Start | None) -> None:
        top = max(_least(problem), _TOP * problem.mean_cost)
        if start is None:
            state.eps = top
            return
        if isinstance(start, SemiDiscreteState) and start.scaled:
            state.eps = max(problem.weight, start.eps)
            state.floor, state.surplus = max(problem.weight, start.floor), start.surplus.clone()
            state.averaged = max(1, min(start.averaged, self.memory))
        else:
            state.floor, state.averaged = self._scale(problem, state, top), 1
        state.scaled = True

    @override
    def _update(self, problem: SemiDiscrete, state: SemiDiscreteState, x: Tensor) -> None:
        atoms = problem.atoms
        samples_per_share = state.averaged * self.batch / (_SAMPLES_PER_ATOM * atoms.count)
        eps = max(problem.weight, state.eps / math.sqrt(1 + samples_per_share))
        gain, scale = self.gain / math.sqrt(max(state.averaged, 1)), state.eps
        if state.averaged:
            shares, _ = atoms.shares(x, state.g, eps, state.buffer)
        else:
            p, _ = atoms.soft(x, state.g, eps, state.buffer)
            shares = p.mean(0)
            spread = atoms.spread(p)
            if self._annealed(problem, state, spread):
                state.averaged, state.scaled, state.floor = 1, True, state.eps
            else:
                gain = min(1 / (1 + max(spread - 1, 0.0) / len(x)), _MOST_GAIN)
                state.eps = max(state.eps * self.anneal, _least(problem))
        surplus = shares.mul_(atoms.inverse)
        # Atoms without weight have no surplus; they stay where they are.
        surplus.masked_fill_(atoms.inverse == 0, 1.0).sub_(1)
        if self.follow and state.averaged:
            scale, gain = self._followed(problem, state, surplus)
        state.g.sub_(torch.log1p_(surplus.mul_(gain)), alpha=scale)
        # The semi-dual does not change if a constant is added to g: fix the gauge <b, g> = 0.
        state.g.sub_(problem.b @ state.g)
        if state.averaged:
            state.average.lerp_(state.g, min(1.0, (1 + _FORGET) / (state.averaged + _FORGET)))
            state.averaged += 1
        else:
            state.average.copy_(state.g)

    def _followed(self, problem: SemiDiscrete, state: SemiDiscreteState, surplus: Tensor) -> tuple[float, float]:
        """Scale and gain of this step, which depend on whether the previous batch favoured the same atoms."""
        b, before = problem.b, state.surplus
        sizes = float(b @ surplus.square()) * float(b @ before.square())
        alike = float(b @ (surplus * before)) / math.sqrt(sizes) if sizes > 0 else 0.0
        state.surplus = surplus.clone()
        if alike > max(_ALIKE, _ERRORS / math.sqrt(problem.atoms.count)):
            state.eps, state.averaged = min(state.eps * _RISE, problem.mean_cost or 1.0), 1
        else:
            state.eps = max(state.eps * _FALL, state.floor)
        return state.eps, self.gain / math.sqrt(state.averaged)

    def _annealed(self, problem: SemiDiscrete, state: SemiDiscreteState, spread: float) -> bool:
        hard = int((problem.b > 0).sum())
        return state.eps <= _least(problem) or spread >= 1 + _HARD * (hard - 1)

    @torch.no_grad()
    def _scale(self, problem: SemiDiscrete, state: SemiDiscreteState, top: float) -> float:
        """The eps at which annealing would end at the given potentials, which stay as they are."""
        x, atoms = problem.draw(self.batch, state.rng), problem.atoms
        state.eps = top
        while not self._annealed(problem, state, atoms.spread(atoms.soft(x, state.g, state.eps)[0])):
            state.eps = max(state.eps * self.anneal, _least(problem))
        return state.eps


def _least(problem: SemiDiscrete) -> float:
    # With coinciding atoms the hardness test may never pass, so annealing stops at this fraction of the mean cost. If
    # all costs are zero, any positive value will do.
    return max(problem.weight, _NOTHING * problem.mean_cost) or 1.0
