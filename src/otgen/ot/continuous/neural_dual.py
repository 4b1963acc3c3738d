"""Two networks as dual potentials, for laws that can only be sampled."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from otgen.errors import InputError
from otgen.ot.continuous.ascent import ascent_step, decays, mean_mass
from otgen.ot.continuous.capped_conjugate import CappedConjugate, checked_exponent
from otgen.ot.continuous.perceptron import Perceptron
from otgen.ot.continuous.potentials import FunctionPotentials, one_each
from otgen.ot.continuous.problem import Continuous
from otgen.ot.continuous.sample_bank import OnBank, SampleBank
from otgen.ot.continuous.solution import ContinuousSolution
from otgen.ot.core import checks
from otgen.ot.core.gradient_policy import Gradient
from otgen.ot.core.iterate import Iterate
from otgen.ot.core.problem import Problem
from otgen.ot.core.results import SolveOutcome
from otgen.ot.core.solver import Solver
from otgen.ot.core.stopping import RelGap, Stopping
from otgen.ot.discrete.problem import Discrete
from otgen.seeding import forked, new_seed, seeded
from otgen.threads import cached_property


class Upper(StrEnum):
    """Where the upper bound on the bank's value comes from."""

    # The networks' own plan, rounded to a coupling of the bank: one or two passes per check, but loose if eps is small.
    OWN_PLAN = "own_plan"
    # The bank's problem, solved once in a run: tight, and worth it if that takes seconds.
    SOLVED_BANK = "solved_bank"


@dataclass
class NeuralDualState:
    """Two networks in training.

    Attributes:
        f: potential of the source.
        g: potential of the target.
        optimizer: the optimiser of the parameters of both.
        rng: the generator of the training batches.
        check_seed: seed of the streams that checks draw from, so that checking changes nothing.
        bank_x: samples of the source on which the networks are judged, ``(bank, d)``.
        bank_y: samples of the target.
        updates: number of updates since the networks were new, across warm starts.
        capped_updates: number of them in which an exponent reached the guard.
    """

    f: nn.Module
    g: nn.Module
    optimizer: Optimizer
    rng: torch.Generator
    check_seed: int
    bank_x: Tensor
    bank_y: Tensor
    updates: int = 0
    capped_updates: int = 0

    def copied(self) -> NeuralDualState:
        """An independent copy; the bank, which is never modified, is shared."""
        f, g, optimizer, rng = copy.deepcopy((self.f, self.g, self.optimizer, self.rng))
        return replace(self, f=f, g=g, optimizer=optimizer, rng=rng)

    def parameters(self) -> Iterator[Tensor]:
        """The parameters of both networks."""
        yield from self.f.parameters()
        yield from self.g.parameters()

    @property
    def finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return all(bool(torch.isfinite(p).all()) for p in self.parameters())


@dataclass(frozen=True, kw_only=True)
class NeuralDual(Solver):
    """Stochastic ascent of the dual over two networks (Sanjabi et al. 2018; Seguy et al. 2018, Algorithm 1).

    ``max_{f,g} E f(x) + E g(y) - E conjugate(f(x) + g(y) - c(x, y))``, one Adam update per step, each on fresh samples,
    with the last expectation over all their pairs. The defaults are those of Sanjabi et al. 2018, Table 1.

    The accuracy is computed on a bank of samples drawn once: marginal error and certified gap are those of the problem
    between these samples. They certify nothing about the laws. As the networks fit the laws rather than the bank, the
    gap on the bank stays above zero; the larger the bank, the smaller it becomes. ``until=WithinNoise()`` stops when
    fresh samples no longer distinguish the networks from an exact solution of the bank, and ``until=MeanMass(tol)`` is
    the test of the paper, (26), on ``batch`` fresh pairs, which can be fooled.

    Attributes:
        f: makes the potential of the source: a callable from the dimension d of a sample to a module ``(n, d) -> (n,)``
            or ``(n, 1)``. Modules with batch statistics are evaluated in evaluation mode.
        g: makes the potential of the target.
        batch: samples of each law in an update.
        lr: step size of Adam.
        betas: decays of Adam's moments.
        bank: samples of each law in the bank.
        guard: largest exponent of KL's conjugate in training; beyond it the conjugate is continued by its tangent. This
            caps the density of the plan at ``exp(guard)``, far above ``batch``, the largest that the plan of a batch
            needs. With a much larger guard, a single huge gradient stops Adam for hundreds of updates. float32
            overflows above 88.
        upper: where the upper bound on the bank's value comes from.
    """

    kinds: ClassVar[tuple[type[Problem], ...]] = (Continuous,)
    check_every: ClassVar[int] = 100
    unrecorded: ClassVar[str] = "it draws its samples itself; leave the gradient out and take solution.loss(x, y)"
    until: ClassVar[Stopping] = RelGap(0.05)

    f: Callable[[int], nn.Module] = Perceptron()
    g: Callable[[int], nn.Module] = Perceptron()
    batch: int = 128
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)
    bank: int = 2000
    guard: float = 10.0
    upper: Upper = Upper.SOLVED_BANK

    def __post_init__(self) -> None:
        for name in ("f", "g"):
            if isinstance(getattr(self, name), nn.Module) or not callable(getattr(self, name)):
                raise InputError(
                    f"{name} must be a callable from the size of a sample to a new module, such as Perceptron(), "
                    f"got {getattr(self, name)!r:.80}; a network in hand is lambda d: network"
                )
        checks.component("upper", self.upper, Upper, "Upper.SOLVED_BANK")
        checks.settle(
            self,
            batch=checks.count("batch", self.batch, 1),
            bank=checks.count("bank", self.bank, 1),
            lr=checks.number(self.lr, "lr must be a positive number, got {}", above=0),
            betas=decays(self.betas),
            guard=checked_exponent(self.guard),
        )

    @override
    def start(self, problem: Continuous, warm_start: Any) -> _Networks:
        kinds = (ContinuousSolution, NeuralDualState)
        checks.component("warm_start", warm_start, kinds, "an earlier solution")
        state = warm_start.state if isinstance(warm_start, ContinuousSolution) else warm_start
        d, like = state.bank_x.shape[1], problem.reference
        if d != like.shape[1]:
            raise InputError(
                f"the warm start has networks for samples of {d} numbers, the problem has samples of {like.shape[1]}"
            )
        if not state.finite:
            raise InputError("the warm start holds NaN or infinite weights; leave it out")
        return _Networks(state)

    @override
    def init(
        self, problem: Continuous, start: _Networks | NeuralDualState | None = None, rng: torch.Generator | None = None
    ) -> NeuralDualState:
        if isinstance(start, NeuralDualState):
            return start.copied()
        rng, like = checks.generator(rng), problem.reference
        with seeded(rng):
            f, g = (make(like.shape[1]) for make in (self.f, self.g))
        for name, module in (("f", f), ("g", g)):
            checks.component(f"what {name} makes", module, nn.Module, "nn.Sequential(...)")
        training, check_seed, bank_rng = forked(rng), new_seed(rng), forked(rng)
        x, y = (side.points for side in problem.sample(self.bank, bank_rng).sides())
        if start is not None:
            old = start.state.copied()
            f, g = old.f.to(like), old.g.to(like)
            for group in old.optimizer.param_groups:
                group.update(lr=self.lr, betas=self.betas)
            # Loading casts the moments to the present dtype and device of the parameters.
            old.optimizer.load_state_dict(old.optimizer.state_dict())
            return replace(old, rng=training, check_seed=check_seed, bank_x=x, bank_y=y)
        f, g = (module.to(like) for module in (f, g))
        optimizer: Optimizer = torch.optim.Adam([*f.parameters(), *g.parameters()], lr=self.lr, betas=self.betas)
        return NeuralDualState(f, g, optimizer, training, check_seed, x, y)

    @override
    def step(self, problem: Continuous, state: NeuralDualState) -> NeuralDualState:
        return self.advance(problem, state.copied(), 1)

    @override
    def advance(self, problem: Continuous, state: NeuralDualState, steps: int) -> NeuralDualState:
        state.f.train(), state.g.train()
        conjugate = self.conjugate(problem)

        def descend(loss: Tensor) -> None:
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimizer.step()

        with torch.enable_grad():
            for _ in range(steps):
                batch = problem.sample(self.batch, state.rng)
                x, y = (side.points for side in batch.sides())
                potentials = one_each("f", state.f(x), x), one_each("g", state.g(y), y)
                ascent_step(state, conjugate, potentials, batch.matrix, descend)
        return state

    def conjugate(self, problem: Continuous) -> CappedConjugate:
        """The conjugate used in training."""
        return CappedConjugate(reg=problem.reg, exponent=self.guard)

    @override
    def iterate(
        self, problem: Continuous, state: NeuralDualState, previous: NeuralDualIterate | None
    ) -> NeuralDualIterate:
        return NeuralDualIterate(self, problem, state, previous)


@dataclass(frozen=True)
class _Networks:
    """What a warm start passes on: networks, optimiser and counts, but no samples, since the laws may have changed."""

    state: NeuralDualState


class NeuralDualIterate(Iterate):
    """The two networks at a check. They are copied, since training goes on in place."""

    def __init__(
        self, solver: NeuralDual, problem: Continuous, state: NeuralDualState, previous: NeuralDualIterate | None
    ) -> None:
        self.solver, self.problem, self.state = solver, problem, state.copied()
        self.potentials = FunctionPotentials(self.state.f.eval(), self.state.g.eval())
        self.bank = SampleBank(Discrete(state.bank_x, state.bank_y, cost=problem.cost, reg=problem.reg))
        # Gap per unit of marginal error at the last certificate; it predicts when the next one is worth its passes.
        self.gap_per_error = 0.0
        if previous is not None:
            self.bank, self.gap_per_error = previous.bank, previous.gap_per_error

    @cached_property
    def on_bank(self) -> OnBank:
        """The potentials evaluated on the bank."""
        at = self.potentials.on(self.state.bank_x, self.state.bank_y)
        return OnBank(self.bank, at, solve_bank=self.solver.upper is Upper.SOLVED_BANK)

    def fresh_rng(self) -> torch.Generator:
        """A generator whose samples were never trained on; the same at every call for this check."""
        return torch.Generator().manual_seed((self.state.check_seed + self.state.updates) % 2**62)

    @cached_property
    @override
    def finite(self) -> bool:
        return self.state.finite and self.on_bank.potentials.finite

    @cached_property
    @override
    def marginal_error(self) -> float:
        return self.on_bank.plan.marginal_error

    @cached_property
    @override
    def mean_mass(self) -> float:
        x, y = (side.points for side in self.problem.sample(self.solver.batch, self.fresh_rng()).sides())
        return mean_mass(self.problem.reg, self.problem.cost, self.potentials.on(x, y), x, y)

    @cached_property
    @override
    def rel_gap(self) -> float:
        gap = float(self.on_bank.interval.rel_gap)
        if math.isfinite(gap) and self.marginal_error > 0:
            self.gap_per_error = gap / self.marginal_error
        return gap

    @override
    def expects_gap(self, tol: float) -> bool:
        # Gap and error are noisy from check to check: half of the last ratio makes the certificate early enough.
        return self.last or 0.5 * self.gap_per_error * self.marginal_error <= tol

    @override
    def restart(self) -> NeuralDualState:
        return self.state

    @override
    def solution(
        self, outer: Continuous, inner: Continuous, gradient: Gradient, outcome: SolveOutcome
    ) -> ContinuousSolution:
        conjugate = self.solver.conjugate(inner)
        return ContinuousSolution(inner, self.potentials, self.on_bank, conjugate, outcome, self.state)
