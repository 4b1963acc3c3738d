"""The dual oracle of SWGAN: networks as dual potentials, trained until they are accurate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.methods.base import Player, Update, added_later
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.nets import Activation, CriticNet, MlpCritic, scoring
from otgen.ot import Cost, Discrete, MarginalError, Potentials, SmoothRegulariser, Steps, Stopping
from otgen.ot.continuous.ascent import ascent_step, mean_mass
from otgen.ot.continuous.capped_conjugate import CappedConjugate, checked_exponent, pair_sums
from otgen.ot.continuous.sample_bank import OnBank, SampleBank
from otgen.ot.core.iterate import Accuracy
from otgen.renamed import accepts_former_options
from otgen.threads import cached_property

# Table 1 of Sanjabi et al. 2018: two hidden layers of 128.
_NET = MlpCritic(widths=(128, 128), activation=Activation.RELU)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cloud:
    """A batch of one law, as the transport and the potentials see it.

    Attributes:
        points: what is transported, ``(n, ...)``: samples, or their features.
        inputs: what a potential is a function of, ``(n, ...)``: the points themselves, or the codes that they are of.
    """

    points: Tensor
    inputs: Tensor

    @classmethod
    def of(cls, points: Tensor) -> Cloud:
        """Points that the potentials read themselves."""
        return cls(points, points)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, order: Tensor) -> Cloud:
        """Those of these indices."""
        return Cloud(self.points[order], self.inputs[order])

    def halves(self) -> Clouds:
        """The first half and the rest."""
        half = len(self) // 2
        return Cloud(self.points[:half], self.inputs[:half]), Cloud(self.points[half:], self.inputs[half:])

    def split(self, size: int) -> Iterator[Cloud]:
        """In batches of a size."""
        return map(Cloud, torch.split(self.points, size), torch.split(self.inputs, size))


Clouds = tuple[Cloud, Cloud]
Values = tuple[Tensor, Tensor]


class PotentialPair(nn.Module):
    """Dual potentials f and g, in the sign convention f + g - c.

    One network stands for both if g is None: of a law's transport to itself they are the same function, its one output;
    else its first output is f and its second g.

    In the paper's notation ``f = phi - eps`` and ``g = -psi`` for KL, ``f = phi`` and ``g = -psi`` for Quadratic.
    The networks' outputs are multiplied by ``unit``, a buffer. ``of_codes`` says that f is a function of latent codes.
    """

    unit: Tensor

    def __init__(self, f: nn.Module, g: nn.Module | None, *, of_codes: bool = False) -> None:
        super().__init__()
        self.f, self.g, self.of_codes = f, g, of_codes
        self.register_buffer("unit", torch.ones(()))

    def forward(self, x: Tensor, y: Tensor) -> Values:
        """``f(x_i)``, ``(n,)``, and ``g(y_j)``, ``(m,)``, from what each of them reads."""
        if self.g is None:
            # One forward pass, so that batch statistics are shared.
            values = self.unit * self.f(torch.cat([x, y]))
            return values[: len(x), 0], values[len(x) :, -1]
        return self.unit * self.f(x).squeeze(-1), self.unit * self.g(y).squeeze(-1)

    def at_points(self, points: Tensor) -> dict[str, Tensor]:
        """By name, the values ``(n,)`` of those potentials that are functions of points."""
        if self.g is None:
            f, g = self(points, points)
            return {"potential f, of the samples": f, "potential g, of the data": g}
        on_both = {} if self.of_codes else {"potential f, of the samples": self.unit * self.f(points).squeeze(-1)}
        return on_both | {"potential g, of the data": self.unit * self.g(points).squeeze(-1)}


@dataclass
class Work:
    """What something has cost so far.

    Attributes:
        samples: samples that went through a network; one with a gradient counts three times.
        pairs: entries of cost matrices and plans.
    """

    samples: int = 0
    pairs: int = 0

    def add(self, other: Work) -> None:
        """Count what something more has cost."""
        self.samples += other.samples
        self.pairs += other.pairs

    def within(self, other: Work) -> bool:
        """Whether neither count exceeds the other's."""
        return self.samples <= other.samples and self.pairs <= other.pairs

    def times_to_reach(self, other: Work, start: Work) -> int:
        """How often this must be added to ``start`` until neither count of ``other`` exceeds it; at least once."""
        samples = -((start.samples - other.samples) // self.samples)
        return max(1, samples, -((start.pairs - other.pairs) // self.pairs))

    @classmethod
    def of_update(cls, n: int, m: int) -> Work:
        """One update of two potentials, on n and m samples: forward and backward."""
        return cls(3 * (n + m), 2 * n * m)


@dataclass
class DualState:
    """The potentials of one transport problem during training.

    Attributes:
        player: a :class:`PotentialPair` and its optimiser.
        updates: number of updates since the networks were initialised.
        capped_updates: number of those in which an exponent exceeded the guard.
        accurate: whether they met the stopping test when it was made last.
        update_work: what the updates have cost.
        test_work: what the tests have cost.
    """

    player: Player
    updates: int = 0
    capped_updates: int = 0
    accurate: bool = added_later(bool)
    update_work: Work = added_later(Work)
    test_work: Work = added_later(Work)

    @torch.no_grad()
    def values(self, x: Tensor, y: Tensor) -> Values:
        """``f(x_i)`` and ``g(y_j)`` of what they read, without a graph, the networks in evaluation mode."""
        with scoring(self.player.module):
            f, g = self.player.module(x, y)
        return f, g


@dataclass(frozen=True)
class DualProblem:
    """A transport problem between two laws that are known by their samples.

    Attributes:
        cost: ground cost on flattened samples.
        reg: regulariser.
        draw: ``draw(k)`` yields k fresh batches from both laws, without a graph.
        support: returns the fixed samples on which accuracy is judged.
        batch: samples of each law in such a batch.
    """

    cost: Cost
    reg: SmoothRegulariser
    draw: Callable[[int], Iterator[Clouds]]
    support: Callable[[], Clouds]
    batch: int

    def costs(self, x: Cloud, y: Cloud) -> Tensor:
        """The cost matrix of two clouds, ``(n, m)``."""
        return self.cost(x.points.flatten(1), y.points.flatten(1))


@accepts_former_options
@dataclass(frozen=True, kw_only=True)
class DualOracle:
    """Stochastic ascent of the dual (5) of Sanjabi et al. 2018 over two networks, until they are accurate.

    It maximises ``E f(x) + E g(y) - E conjugate(f(x) + g(y) - c(x, y))`` over f and g. Each update uses fresh samples,
    and the last expectation is over all their pairs. The networks are kept from one generator step to the next.

    A generator step takes one update, then more until the stopping test is met, ``most`` in all. The test follows an
    update, and only where all tests so far have cost no more than all updates so far. Between two tests the last answer
    stands: potentials that were accurate get one update a step, others get ``most``.

    Attributes:
        f: network of the generated law's potential, of its samples or of their codes.
        g: network of the data's potential.
        most: maximum number of updates per generator step.
        until: the stopping test. ``MarginalError`` on a fixed support is the paper's (25); ``MeanMass`` on fresh pairs
            is its (26), which a constant added to f can fool; ``RelGap`` is the certified gap on the support, whose
            problem each test solves; ``Steps`` tests nothing and takes all ``most`` updates.
        shared: one network with two outputs for both potentials, by ``f``, instead of two networks.
        guard: largest exponent of KL's conjugate in training; beyond it the conjugate is continued by its tangent.
        relative: multiply the networks' outputs by the initial mean cost, so that no step size depends on the unit of
            the cost.
        optimizer: optimiser of both networks.
    """

    f: CriticNet = _NET
    g: CriticNet = _NET
    most: int = 20
    until: Stopping = MarginalError(0.5)
    shared: bool = False
    guard: float = 10.0
    relative: bool = False
    optimizer: OptimizerConfig = Adam(lr=1e-3, beta1=0.5, beta2=0.9)

    def __post_init__(self) -> None:
        if self.most < 1:
            raise InputError(f"most must be at least 1 update a generator step, got {self.most}")
        object.__setattr__(self, "guard", checked_exponent(self.guard))

    def pair(self, name: str, device: torch.device, f: Shape, g: Shape, *, of_codes: bool = False) -> DualState:
        """New potentials, with weights drawn from the global random stream.

        Args:
            name: of the player.
            device: where they are.
            f: shape of what the first one reads.
            g: shape of what the second one reads.
            of_codes: whether the first one reads codes.

        Raises:
            InputError: a network cannot read that shape, or one for both potentials would have to read codes.
        """
        if of_codes and self.shared:
            raise InputError(
                "one network for both potentials reads points on both sides, and with potential_input code one side "
                "has codes; leave oracle.shared false"
            )
        try:
            first = self.f.build(f, 2 if self.shared else 1)
        except InputError as error:
            if not of_codes:
                raise
            raise InputError(
                f"with potential_input code the network oracle.f reads latent codes, of shape {f}, and {error}; "
                "MlpCritic reads any (--method.oracle.f MlpCritic)"
            ) from error
        networks = PotentialPair(first, None if self.shared else self.g.build(g, 1), of_codes=of_codes)
        return DualState(self.optimizer.player(name, networks.to(device)))

    def single(self, name: str, device: torch.device, net: CriticNet, shape: Shape) -> DualState:
        """One new potential, for both sides of a law's transport to itself; ``shape`` is that of what it reads."""
        return DualState(self.optimizer.player(name, PotentialPair(net.build(shape, 1), None).to(device)))

    def conjugate(self, problem: DualProblem) -> CappedConjugate:
        """The capped conjugate used in training."""
        return CappedConjugate(reg=problem.reg, exponent=self.guard)

    def ascend(self, state: DualState, problem: DualProblem, update: Update) -> int:
        """Update until the stopping test is met; returns the number of updates."""
        conjugate, descend, spent = self.conjugate(problem), partial(update, state.player), 0
        while spent < self.most:
            count = min(self.most - spent, self._untested(state, problem))
            # All of them will be taken, so their batches are drawn together.
            for x, y in problem.draw(count):
                ascent_step(state, conjugate, state.player.module(x.inputs, y.inputs), problem.costs(x, y), descend)
                state.update_work.add(Work.of_update(len(x), len(y)))
            spent += count
            if self._tests and state.test_work.within(state.update_work):
                accuracy = DualAccuracy(state, problem)
                state.accurate = self.until.met(accuracy)
                state.test_work.add(accuracy.work)
            if state.accurate:
                break
        return spent

    @property
    def _tests(self) -> bool:
        return not isinstance(self.until, Steps)

    def _untested(self, state: DualState, problem: DualProblem) -> int:
        """Updates up to the next test, or to the end of the step where accurate potentials get no more."""
        if not self._tests:
            return self.most
        one = Work.of_update(problem.batch, problem.batch)
        return 1 if state.accurate else one.times_to_reach(state.test_work, state.update_work)

    @torch.no_grad()
    def density(self, state: DualState, problem: DualProblem, x: Cloud, y: Cloud) -> tuple[Tensor, Tensor]:
        """The density ``m_ij`` of the pseudo-plan (6), ``(n, m)``, capped by the guard, and the cost matrix."""
        costs = problem.costs(x, y)
        return self.conjugate(problem).density(pair_sums(*state.values(x.inputs, y.inputs), costs)), costs


class DualAccuracy(Accuracy):
    """Accuracy of two potentials on the fixed support, and by (26) on fresh pairs.

    Attributes:
        work: what has been computed.
    """

    def __init__(self, state: DualState, problem: DualProblem) -> None:
        self.state, self.problem, self.work = state, problem, Work()

    @cached_property
    @override
    @torch.no_grad()
    def marginal_error(self) -> float:
        """(25): ``mean_i |E_y m(x_i, y) - 1| + mean_j |E_x m(x, y_j) - 1|``, in the samples' dtype."""
        x, y = self.problem.support()
        density = self.problem.reg.density(pair_sums(*self._values(x, y), self.problem.costs(x, y)))
        self.work.pairs += density.numel()
        return float((density.mean(1) - 1).abs().mean() + (density.mean(0) - 1).abs().mean())

    @cached_property
    @override
    def mean_mass(self) -> float:
        x, y = next(self.problem.draw(1))
        self.work.pairs += len(x)
        at, points = Potentials(*self._values(x, y)), (x.points.flatten(1), y.points.flatten(1))
        return mean_mass(self.problem.reg, self.problem.cost, at, *points)

    @cached_property
    @override
    def rel_gap(self) -> float:
        """The relative gap on the fixed support, whose discrete problem is solved for it."""
        x, y = self.problem.support()
        points = x.points.flatten(1), y.points.flatten(1)
        bank = SampleBank(Discrete(*points, cost=self.problem.cost, reg=self.problem.reg))
        on_bank = OnBank(bank, Potentials(*self._values(x, y)), solve_bank=True)
        gap = float(on_bank.interval.rel_gap)
        # One pass for the plan of the potentials, and one a step, all in double precision.
        self.work.pairs += 2 * (1 + bank.solution.steps) * len(x) * len(y)
        return gap

    def _values(self, x: Cloud, y: Cloud) -> Values:
        self.work.samples += len(x) + len(y)
        return self.state.values(x.inputs, y.inputs)
