"""Solvers of semi-discrete problems: stochastic ascent of the semi-dual."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

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

# Where annealing begins, relative to the mean cost.
_TOP = 0.5
# Without regularisation annealing ends where a point sees this share of hard cells' spread ...
_HARD = 0.5
# ... and goes on slowly once this many samples an atom were drawn.
_SAMPLES_PER_ATOM = 4.0
# Annealing never goes below this share of the mean cost.
_NOTHING = 1e-6
# No step forgets the potentials altogether: an atom that a batch leaves out would go to infinity.
_MOST_GAIN = 0.95
# Two batches favour the same atoms where their surpluses correlate by more than this, and than so many errors of it.
_ALIKE, _ERRORS = 0.1, 3.0
# The scale of the steps then rises by this factor a step, and else falls.
_RISE, _FALL = 1.3, 0.8
# The average gives its latest term the weight (1 + this) / (t + this): early iterates are forgotten as t^-(this + 1).
_FORGET = 3.0


@dataclass
class SemiDiscreteState:
    """State of a semi-discrete solver.

    Attributes:
        g: the last iterate, ``(m,)``, units of the cost.
        average: the running mean of the iterates, which is the answer.
        rng: what the solver's own samples are drawn through.
        check_seed: of the samples that checks of the accuracy draw.
        steps: steps taken since `init`.
        averaged: steps that the average holds, or was told to go on from.
        eps: scale of the next step, falling while it is annealed.
        scaled: whether that has come to its end.
        floor: where it ended.
        surplus: what the last batch gave each atom too much, as a share of its weight, ``(m,)``.
        buffer: ``(K, m)``, written over by each step.
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


StateT = TypeVar("StateT", bound=SemiDiscreteState)


# What a solver starts from.
Start = SemiDiscreteState | AtomPotentials


@dataclass(frozen=True, kw_only=True)
class SemiDiscreteSolver(Solver):
    """What solvers of semi-discrete problems share: batches, states, checks. A new one needs `_begin` and `_update`.

    Attributes:
        batch: samples a step, K.
        check_samples: samples of a check of the accuracy (drawn apart: it changes no step). The chi-square of m
            atoms is known to some ``sqrt(2 m) / look_samples`` at best.
    """

    kinds: ClassVar[tuple[type[Problem], ...]] = (SemiDiscrete,)
    check_every: ClassVar[int] = 100
    unrecorded: ClassVar[str] = "its steps are not recorded; descend solution.loss(x), which needs no gradient option"
    # How small a marginal error can be shown depends on the atoms and on the samples of a check: no default fits.
    until: ClassVar[Stopping] = Steps()

    batch: int = 100
    check_samples: int = 1600

    def __post_init__(self) -> None:
        checks.count("batch", self.batch, 1)
        checks.count("check_samples", self.check_samples, 32)

    @override
    def start(self, problem: SemiDiscrete, warm_start: Any) -> Start | None:
        if warm_start is None:
            return None
        kinds = (SemiDiscreteSolution, SemiDiscreteState, AtomPotentials)
        checks.component("warm_start", warm_start, kinds, "an earlier solution")
        start: Start = warm_start.state if isinstance(warm_start, SemiDiscreteSolution) else warm_start
        g = start.average if isinstance(start, SemiDiscreteState) else start.g
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
        rng = torch.Generator(device=state.rng.device)
        rng.set_state(state.rng.get_state())
        clones = {name: getattr(state, name).clone() for name in ("g", "average", "surplus")}
        copy = replace(state, **clones, rng=rng, buffer=None)
        return self.advance(problem, copy, 1)

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
        seed = state.check_seed + state.steps
        return SemiDiscreteIterate(problem, state.average, samples=self.check_samples, seed=seed, state=state)

    @abstractmethod
    def _begin(self, problem: SemiDiscrete, state: SemiDiscreteState, start: Start | None) -> None:
        """Complete a new state."""

    @abstractmethod
    def _update(self, problem: SemiDiscrete, state: SemiDiscreteState, x: Tensor) -> None:
        """One step with the samples ``x``, ``(K, d)``, in place."""


@accepts_former_options
@dataclass(frozen=True, kw_only=True)
class AveragedSGD(SemiDiscreteSolver):
    """Averaged stochastic gradient ascent (Genevay et al. 2016), as Algorithm 1 of Houdard et al. 2021 uses it.

    ``g~_k = g~_{k-1} + C / sqrt(k) (b - p(x_k))``; the answer is the running mean of the g~. Slow where eps is far
    below the costs, which the potentials have to travel: see :class:`StochasticSinkhorn`. A warm start begins at
    k = 1 again.

    Attributes:
        rate: C, in units of the cost; ``eps / max(b)`` if None, and ``mean cost / (100 max(b))`` where eps is 0.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise InputError(f"rate is the first step's length and must be positive, got {self.rate}; None chooses one")

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

    One step is ``g_j <- g_j - eps_t log(1 - r + r p^_j / b_j)``, with p^ the batch's shares of the atoms and r the
    gain: Sinkhorn's own update at r = 1, a gradient step in the scale of each atom's weight where r is small, and
    only logarithmic in the surplus of an atom that a batch happens to favour (p^_j / b_j reaches m / K).

    eps_t falls by ``anneal`` a step from half the mean cost, so that the potentials travel the costs' scale in some
    ten steps; meanwhile ``r = 1 / (1 + (spread - 1) / K)``, the noise of one batch weighed against its signal, with
    ``spread = mean_i sum_j p_ij^2 / b_j``. Annealing ends at the problem's eps, or before where points all but choose
    (half of hard cells' spread). Where it ended remains the scale of the steps, with ``r = gain / sqrt(t)``; the
    softmax's eps falls on as ``1 / sqrt(1 + t K / 4 m)``, to the problem's. The iterates are averaged with weights
    that favour the later ones. No use of n samples can be expected to do better than a chi-square of ``spread / n``.

    Where the source moves between two solves, as a generator in training does, psi has to travel again, and the scale
    at which annealing ended may be far too small for that. With ``follow`` the scale rises while two batches in a row
    favour the same atoms (their surpluses, which are noise at the optimum, correlate), and falls back when they do not.

    Attributes:
        anneal: factor of eps a step, in (0, 1).
        gain: r at the first step of the averaging phase, in (0, 1).
        memory: a warm start from a solution goes on with its step count t, but with this one at most: small follows
            a moving source faster, large averages more.
        follow: let the scale of the steps rise where psi lags behind.
    """

    anneal: float = 0.7
    gain: float = 0.5
    memory: int = 100
    follow: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("anneal", "gain"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must lie strictly between 0 and 1, got {getattr(self, name)}")
        checks.count("memory", self.memory, 0)

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
        # The semi-dual does not see a constant: the gauge <b, g> = 0.
        state.g.sub_(problem.b @ state.g)
        if state.averaged:
            state.average.lerp_(state.g, min(1.0, (1 + _FORGET) / (state.averaged + _FORGET)))
            state.averaged += 1
        else:
            state.average.copy_(state.g)

    def _followed(self, problem: SemiDiscrete, state: SemiDiscreteState, surplus: Tensor) -> tuple[float, float]:
        """Scale and gain of this step, by whether the last batch favoured the same atoms."""
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
        """Where annealing would end at the potentials given, without moving them."""
        x, atoms = problem.draw(self.batch, state.rng), problem.atoms
        state.eps = top
        while not self._annealed(problem, state, atoms.spread(atoms.soft(x, state.g, state.eps)[0])):
            state.eps = max(state.eps * self.anneal, _least(problem))
        return state.eps


def _least(problem: SemiDiscrete) -> float:
    # Coinciding atoms never look hard: far below the costs nothing is left to anneal. All at the samples: any will do.
    return max(problem.weight, _NOTHING * problem.mean_cost) or 1.0
