"""SWGAN (Sanjabi, Ba, Razaviyayn, Lee 2018): gradients of a smooth transport value from nearly optimal duals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache, partial

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Adam, Batches, Logged, Method, Player, Update
from otgen.methods.learnt_features import LearntFeatures, embedded
from otgen.methods.neural_potentials import Clouds, DualOracle, DualProblem, DualState
from otgen.methods.potentials_report import potentials_report
from otgen.methods.terms import Fake, Real, Sides, Term, drawn, features
from otgen.nets import mixes_samples, seeded, statistics_kept
from otgen.ot import L1, Combination, Cost, Discrete, Quadratic, SmoothRegulariser
from otgen.ot.losses.combination import combine


class Between(StrEnum):
    """Which laws a transport problem is between. The value begins its names in the log."""

    CROSS = "plan"
    OWN = "own_plan"
    REAL = "data_plan"

    @classmethod
    def of(cls, term: Term) -> Between:
        """The laws of a term's problem, whichever batches it takes."""
        fakes = isinstance(term.left, Fake) + isinstance(term.right, Fake)
        return (cls.REAL, cls.CROSS, cls.OWN)[fakes]


Problems = dict[Between, DualProblem]


@dataclass
class SwganState:
    """State of :class:`SWGAN`.

    Attributes:
        generator: the generator.
        cross: potentials between generated samples and data.
        own: the potential of generated samples with themselves; None where no term needs it.
        real: the potential of the data with themselves; None likewise.
        critic: the feature map; None where samples are transported as they are.
        latents: the fixed latent codes that accuracy is judged on.
        data: the fixed data that accuracy is judged on.
        eps: regularisation weight once annealing has ended.
        step: generator steps taken.
        reports: how many of them were reported on.
        bound_squares: sum of the squared gradient-error bounds of these reports.
    """

    generator: Player
    cross: DualState
    own: DualState | None
    real: DualState | None
    critic: Player | None
    latents: Tensor
    data: Tensor
    eps: float
    step: int = 0
    reports: int = 0
    bound_squares: float = 0.0

    def duals(self, between: Between) -> DualState:
        """The potentials of a problem."""
        duals = {Between.CROSS: self.cross, Between.OWN: self.own, Between.REAL: self.real}[between]
        assert duals is not None
        return duals


@dataclass(frozen=True, kw_only=True)
class SWGAN(Method):
    """Stochastic gradient descent on ``h(theta) = d_{c,eps}(G_theta(q), p)`` (Sanjabi et al. 2018, Algorithm 1).

    Each generator step trains the potentials until they are accurate, draws fresh batches, takes the density ``m`` of
    the pseudo-plan (6) between them as a constant, and descends ``1 / S^2 sum_ij m_ij c(G(x_i), y_j)``. Nothing is
    propagated through the potentials. What is descended is d, the regularisation term included: its gradient is that
    of the optimal plan's cost with the plan held, the gradient of the plan's cost alone is another one.

    Attributes:
        batch: samples of each law, S, in each update of either kind.
        cost: ground cost on samples, flattened, or on their learnt features.
        reg: regulariser, KL or Quadratic; a relative weight is resolved once, on the fixed support at the start.
        oracle: how the potentials are trained; its networks read what the cost reads.
        features: adversarially learnt features; None transports the samples as they are.
        pool: samples of each law that are drawn afresh once a generator step, and that all updates of its potentials
            take their batches from: each sample is generated, and its features are computed, once. At 0 each update
            draws its own. (26) is then tested on the pool, too.
        support: fixed samples of each law that accuracy is judged on.
        anneal_from: multiple of the regularisation weight to begin with.
        anneal_steps: generator steps in which it falls to 1, geometrically.
        report_every: steps between two reports of the plan's error, which solve the batch exactly.
        generator_optimizer: Adam of the generator.
    """

    batch: int = 128
    cost: Cost = L1()
    reg: SmoothRegulariser = Quadratic(eps=0.01)
    oracle: DualOracle = DualOracle()
    features: LearntFeatures | None = None
    pool: int = 0
    support: int = 512
    anneal_from: float = 1.0
    anneal_steps: int = 0
    report_every: int = 50
    generator_optimizer: Adam = Adam(lr=3e-3, beta1=0.5, beta2=0.9)

    def __post_init__(self) -> None:
        if not isinstance(self.reg, SmoothRegulariser):
            raise InputError(
                f"{type(self).__name__} needs a smooth dual, got {type(self.reg).__name__}; use KL or Quadratic"
            )
        if self.batch < 1 or self.support < 2 or self.report_every < 1 or self.anneal_steps < 0:
            raise InputError(
                "batch and report_every must be at least 1, support at least 2 and anneal_steps at least 0, got "
                f"{self.batch}, {self.report_every}, {self.support} and {self.anneal_steps}"
            )
        if self.pool and self.pool < 2 * self.batch:
            raise InputError(
                f"a pool must hold two batches, {2 * self.batch} samples, got {self.pool}; 0 draws anew each time"
            )
        if not 1 <= self.anneal_from < math.inf:
            raise InputError(f"anneal_from is a multiple of eps and must be at least 1, got {self.anneal_from}")
        if self.anneal_from > 1 and not self.anneal_steps:
            raise InputError(f"anneal_from {self.anneal_from} needs anneal_steps: in how many steps eps falls; got 0")

    def terms(self) -> tuple[Term, ...]:
        """What the generator descends, each term between fresh, independent batches."""
        return (Term(1.0, Fake(), Real()),)

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> SwganState:
        device, shape, learnt = next(generator.parameters()).device, data.shape, self.features
        points = shape if learnt is None else (learnt.net.trunk_features(shape),)
        alone = any(isinstance(term.right, Fake) for term in self.terms())
        with seeded(rng):
            cross = self.oracle.state("potentials", points, device)
            own = self.oracle.state("own potential", points, device, symmetric=True) if alone or learnt else None
            real = self.oracle.state("data potential", points, device, symmetric=True) if learnt else None
            critic = learnt.player(shape, device) if learnt else None
        latents, samples = (source.sample(self.support, rng).to(device) for source in (latent, data))
        player = self.generator_optimizer.player("generator", generator)
        state = SwganState(player, cross, own, real, critic, latents, samples, eps=1.0)
        fake, truth = (cloud.flatten(1) for cloud in self._support(state)().values())
        state.eps = self.reg.resolved(Discrete(fake, truth, cost=self.cost, reg=self.reg).mean_cost).weight
        for duals in (cross, own, real):
            if duals is not None and self.oracle.relative:
                duals.player.module.get_buffer("unit").copy_(self.cost(fake, truth).mean())
        return state

    @override
    def step(self, state: SwganState, batches: Batches, update: Update) -> Logged:
        # What the features ascend; empty where they stand still.
        rivals = self.features.terms() if self.features is not None and self.features.due(state.step) else ()
        terms = self.terms()
        draw, support = self._draws(state, batches), self._support(state)
        problems = {Between.of(term): self._problem(term, state, draw, support) for term in (*terms, *rivals)}
        # Algorithm 1, (a): the oracle
        spent = sum(self.oracle.ascend(state.duals(b), problem, update) for b, problem in problems.items())
        # (b): fresh batches, independent of (a)
        clouds = drawn(terms, state.generator, batches, self.batch)
        points = embedded(clouds, state.critic)
        loss, values = self._held(terms, state, problems, points, points)
        values["dual_steps"] = torch.tensor(spent)
        points = {side: cloud.detach() for side, cloud in points.items()}
        if (state.step + 1) % self.report_every == 0:
            values |= self._report(state, problems[Between.CROSS], (points[Fake()], points[Real()]))
        update(state.generator, loss)
        if state.critic is not None and rivals:
            rivalry, seen = self._rivalry(rivals, state, problems, batches)
            update(state.critic, -rivalry)
            values = seen | values
        state.step += 1
        reg = problems[Between.CROSS].reg
        return Logged(values, lambda: self._certified(points, reg))

    def present_eps(self, state: SwganState) -> float:
        """The regularisation weight of the next step."""
        left = 1 - min(state.step / self.anneal_steps, 1.0) if self.anneal_steps else 0.0
        return float(state.eps * self.anneal_from**left)

    def _support(self, state: SwganState) -> Callable[[], Sides]:
        """The fixed samples in their present image; computed once a step, if at all."""

        @cache
        @torch.no_grad()
        def support() -> Sides:
            # The generator and the features stand still while the potentials are trained.
            with statistics_kept(state.generator.module):
                fake = state.generator.module(state.latents)
            return embedded({Fake(): fake, Real(): state.data}, state.critic)

        return support

    def _draws(self, state: SwganState, batches: Batches) -> Callable[[Term, int], Iterator[Clouds]]:
        """What draws so many batches to train a term's potentials on, in their present image."""

        @torch.no_grad()
        def drawn_afresh(terms: Sequence[Term], n: int) -> Sides:
            with statistics_kept(state.generator.module):
                return embedded(drawn(terms, state.generator, batches, n), state.critic)

        pooled = cache(lambda: drawn_afresh([Term(1.0, Fake(), Real())], self.pool))

        def fresh(term: Term, count: int) -> Iterator[Clouds]:
            # A generator that normalises a batch by its own statistics sees the batches one by one.
            together = 1 if mixes_samples(state.generator.module) else count
            for _ in range(count // together):
                points = drawn_afresh([term], together * self.batch)
                left, right = (torch.split(points[side], self.batch) for side in (term.left, term.right))
                yield from zip(left, right, strict=True)

        def out_of_pool(term: Term, count: int) -> Iterator[Clouds]:
            left, right = (pooled()[type(side)()] for side in (term.left, term.right))
            for _ in range(count):
                # One order for both sides: of a law with itself they have no sample in common.
                order = batches.uniform(self.pool).argsort()
                yield left[order[: self.batch]], right[order[-self.batch :]]

        return out_of_pool if self.pool else fresh

    def _problem(
        self, term: Term, state: SwganState, draw: Callable[[Term, int], Iterator[Clouds]], support: Callable[[], Sides]
    ) -> DualProblem:
        """The problem of a term."""

        def judged() -> Clouds:
            left, right = (support()[type(side)()] for side in (term.left, term.right))
            # A law with itself: two halves of its samples
            half = len(left) // 2
            return (left, right) if type(term.left) is not type(term.right) else (left[:half], left[half:])

        reg = replace(self.reg, eps=self.present_eps(state))
        return DualProblem(self.cost, reg, partial(draw, term), judged)

    def _held(
        self, terms: tuple[Term, ...], state: SwganState, problems: Problems, points: Sides, judged: Sides
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Algorithms 1 and 2, (c): a scalar with the gradient of the terms, m held; and what is logged of them.

        Args:
            terms: what is summed.
            state: has the potentials.
            problems: of the terms.
            points: what moves.
            judged: the same as the potentials know them, from which m is.
        """
        values: dict[str, Tensor] = {}
        loss = next(iter(points.values())).new_zeros(())
        for term in terms:
            between, x, y = Between.of(term), points[term.left], points[term.right]
            duals, problem = state.duals(between), problems[between]
            seen = judged[term.left].detach(), judged[term.right].detach()
            density, costs = self.oracle.density(duals, problem, *seen)
            # Both arguments of a term between generated samples move.
            loss = loss + term.weight * held_cost(problem.cost, density, x, y)
            values |= {f"{between}_mass": density.mean(), f"{between}_cost": (density * costs).mean()}
            values[f"{between}_capped_updates"] = torch.tensor(duals.capped_updates)
        return loss, values

    def _rivalry(
        self, rivals: tuple[Term, ...], state: SwganState, problems: Problems, batches: Batches
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar with the gradient of (46) by the features' weights; and what is logged of it."""
        assert state.critic is not None
        with torch.no_grad(), statistics_kept(state.generator.module):
            clouds = drawn(rivals, state.generator, batches, self.batch)
            # The potentials were trained on features in evaluation mode: on others their plan means nothing.
            judged = embedded(clouds, state.critic)
        return self._held(rivals, state, problems, features(clouds, state.critic), judged)

    def _report(self, state: SwganState, problem: DualProblem, clouds: Clouds) -> dict[str, Tensor]:
        report = potentials_report(state.cross, problem, clouds, self.oracle.conjugate(problem))
        state.reports += 1
        state.bound_squares += report.gradient_error_bound**2
        # Remark 4.2.2 allows Theorem 4.2 the mean of the steps' own delta^2; by points here, and by weights there.
        values = asdict(report) | {"gradient_bound_mean_square": state.bound_squares / state.reports}
        return {name: torch.tensor(value) for name, value in values.items()}

    def _certified(self, points: Sides, reg: SmoothRegulariser) -> Combination:
        problems = tuple(
            Discrete(points[term.left].flatten(1), points[term.right].flatten(1), cost=self.cost, reg=reg)
            for term in self.terms()
        )
        weights = tuple(term.weight for term in self.terms())
        return combine(weights, problems, tol=1e-3, max_steps=500, on_unconverged="ignore")[1]


@dataclass(frozen=True, kw_only=True)
class SWGANSinkhorn(SWGAN):
    """SWGAN on the Sinkhorn loss ``factor d(G(q), p) - factor / 2 d(G(q), G(q))`` (Sanjabi et al. 2018, Algorithm 2).

    Two oracles, one a term; the self term takes two batches that are independent of each other and of the cross
    term's. The problem of the data with themselves is constant to the generator and left out, of the logged loss too.

    Attributes:
        factor: 2 as in the paper, or 1 for the scale of the Sinkhorn divergence.
    """

    factor: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.factor < math.inf:
            raise InputError(f"factor must be a positive number, got {self.factor}; the paper's is 2")

    @override
    def terms(self) -> tuple[Term, ...]:
        return Term(self.factor, Fake(), Real()), Term(-self.factor / 2, Fake(1), Fake(2))


def held_cost(cost: Cost, density: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A scalar with the gradient of ``mean_ij m_ij c(x_i, y_j)``, m held constant; its value is another one.

    The gradient by the points comes from the cost's own formula, which needs no ``(n, m, d)`` graph.
    """
    x, y = x.flatten(1), y.flatten(1)
    with torch.no_grad():
        by_x, by_y = cost.vjp(x.detach(), y.detach(), density / density.numel())
    held = (x * by_x).sum()
    return held + (y * by_y).sum() if y.requires_grad else held
