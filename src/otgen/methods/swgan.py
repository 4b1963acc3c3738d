"""SWGAN (Sanjabi, Ba, Razaviyayn, Lee 2018): gradients of a smooth transport value from nearly optimal potentials."""

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
from otgen.methods.base import Batches, Logged, Method, Player, Update
from otgen.methods.neural_potentials import Cloud, Clouds, DualOracle, DualProblem, DualState
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.methods.potentials_report import potentials_report
from otgen.methods.swgan_features_eq_46 import LearntFeatures, embedded
from otgen.methods.terms import Fake, Real, Side, Sides, Term, drawn_with_codes, features, weighted
from otgen.nets import mixes_samples, seeded, statistics_kept
from otgen.ot import L1, Cost, Discrete, Quadratic, SmoothRegulariser
from otgen.ot.losses.combination import combine


class Between(StrEnum):
    """The pair of laws of a transport problem. The value is the prefix of its names in the log."""

    CROSS = "plan"
    OWN = "own_plan"
    REAL = "data_plan"

    @classmethod
    def of(cls, term: Term) -> Between:
        """The pair of laws of a term, whatever the indices of its batches."""
        fakes = isinstance(term.left, Fake) + isinstance(term.right, Fake)
        return (cls.REAL, cls.CROSS, cls.OWN)[fakes]


class PotentialInput(StrEnum):
    """What the potential of the generated law is a function of."""

    SAMPLE = "sample"
    """The sample, or its features, as that of the data."""
    CODE = "code"
    """The latent code. In the limit this loses nothing, because a code determines its sample."""


Problems = dict[Between, DualProblem]
Seen = dict[Side, Cloud]
Draw = Callable[[Term, int], Iterator[Clouds]]


@dataclass
class SwganState:
    """State of :class:`SWGAN`.

    Attributes:
        generator: the generator.
        cross: potentials between generated samples and data.
        own: the potential between generated samples and generated samples; None if no term needs it.
        real: the potential between data and data; None if no term needs it.
        critic: the feature map; None if samples are transported as they are.
        latents: the fixed latent codes on which accuracy is judged.
        data: the fixed data on which accuracy is judged.
        eps: regularisation weight at the end of annealing.
        step: generator steps taken.
        reports: number of those with a report on the potentials.
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
    the pseudo-plan (6) between them as a constant, and descends ``1 / S^2 sum_ij m_ij c(G(x_i), y_j)``. No gradient
    flows through the potentials. This descends d, its regularisation term included: the gradient of d is that of the
    optimal plan's cost with the plan held constant. The gradient of that cost alone, through the plan, is different.

    Attributes:
        batch: samples of each law, S, per update of the generator or of the potentials.
        cost: ground cost on flattened samples, or on their learnt features.
        reg: regulariser, KL or Quadratic; a relative weight is resolved once, on the initial fixed support.
        oracle: how the potentials are trained.
        potential_input: whether the generated law's potential is a function of the sample, as the cost is, or of its
            latent code; ``oracle.f`` has to be a network for that. The data's is one of the sample in any case.
        features: adversarially learnt features; None transports the samples as they are.
        pool: samples of each law that are drawn once per generator step, and from which all updates of the potentials
            take their batches, so that each sample is generated and mapped to features once. With a pool, (26) is
            tested on it too. 0 draws fresh samples for each update.
        support: number of fixed samples of each law on which accuracy is judged.
        anneal_from: initial multiple of the regularisation weight.
        anneal_steps: generator steps in which this multiple falls geometrically to 1.
        report_every: generator steps between two reports of the plan's error, which solve the batch exactly.
        generator_optimizer: optimiser of the generator.
    """

    batch: int = 128
    cost: Cost = L1()
    reg: SmoothRegulariser = Quadratic(eps=0.01)
    oracle: DualOracle = DualOracle()
    potential_input: PotentialInput = PotentialInput.SAMPLE
    features: LearntFeatures | None = None
    pool: int = 0
    support: int = 512
    anneal_from: float = 1.0
    anneal_steps: int = 0
    report_every: int = 50
    generator_optimizer: OptimizerConfig = Adam(lr=3e-3, beta1=0.5, beta2=0.9)

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
        """The terms that the generator descends, each between fresh, independent batches."""
        return (Term(1.0, Fake(), Real()),)

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> SwganState:
        device, shape, learnt = next(generator.parameters()).device, data.shape, self.features
        points = shape if learnt is None else (learnt.net.trunk_features(shape),)
        alone = any(isinstance(term.right, Fake) for term in self.terms())
        of_codes, oracle = self.potential_input is PotentialInput.CODE, self.oracle
        read = latent.shape if of_codes else points
        with seeded(rng):
            cross = oracle.pair("potentials", device, read, points, of_codes=of_codes)
            own = oracle.single("own potential", device, oracle.f, read) if alone or learnt else None
            real = oracle.single("data potential", device, oracle.g, points) if learnt else None
            critic = learnt.player(shape, device) if learnt else None
        latents, samples = (source.sample(self.support, rng).to(device) for source in (latent, data))
        player = self.generator_optimizer.player("generator", generator)
        state = SwganState(player, cross, own, real, critic, latents, samples, eps=1.0)
        fake, truth = (cloud.points.flatten(1) for cloud in self._support(state)().values())
        state.eps = self.reg.resolved(Discrete(fake, truth, cost=self.cost, reg=self.reg).mean_cost).weight
        for duals in (cross, own, real):
            if duals is not None and self.oracle.relative:
                duals.player.module.get_buffer("unit").copy_(self.cost(fake, truth).mean())
        return state

    @override
    def step(self, state: SwganState, batches: Batches, update: Update) -> Logged:
        # The terms that the features ascend; empty if they are not updated in this step.
        rivals = self.features.terms() if self.features is not None and self.features.due(state.step) else ()
        terms = self.terms()
        draw, support = self._draws(state, batches), self._support(state)
        problems = {Between.of(term): self._problem(term, state, draw, support) for term in (*terms, *rivals)}
        # Algorithm 1, (a): the oracle
        spent = sum(self.oracle.ascend(state.duals(b), problem, update) for b, problem in problems.items())
        # (b): fresh batches, independent of (a)
        samples, codes = drawn_with_codes(terms, state.generator, batches, self.batch)
        points = embedded(samples, state.critic)
        seen = self._seen(points, codes)
        loss, values = self._held(terms, state, problems, points, seen)
        values["dual_steps"] = torch.tensor(spent)
        if (state.step + 1) % self.report_every == 0:
            values |= self._report(state, problems[Between.CROSS], (seen[Fake()], seen[Real()]))
        update(state.generator, loss)
        if state.critic is not None and rivals:
            rivalry, of_rivals = self._rivalry(rivals, state, problems, batches)
            update(state.critic, -rivalry)
            values = of_rivals | values
        state.step += 1
        rows = {side: cloud.points.flatten(1) for side, cloud in seen.items()}
        reg, solved = problems[Between.CROSS].reg, partial(combine, tol=1e-3, max_steps=500, on_unconverged="ignore")
        return Logged(values, lambda: solved(*weighted(terms, rows, self.cost, reg))[1])

    @override
    def potentials_of(self, state: SwganState) -> nn.Module:
        return state.cross.player.module

    def present_eps(self, state: SwganState) -> float:
        """The regularisation weight of the next step."""
        left = 1 - min(state.step / self.anneal_steps, 1.0) if self.anneal_steps else 0.0
        return float(state.eps * self.anneal_from**left)

    def _seen(self, points: Sides, codes: Sides) -> Seen:
        """Points with what the potentials read of them, without a graph."""
        read = points | codes if self.potential_input is PotentialInput.CODE else points
        return {side: Cloud(cloud.detach(), read[side].detach()) for side, cloud in points.items()}

    def _support(self, state: SwganState) -> Callable[[], Seen]:
        """The fixed samples as the current networks map them; computed at most once per step."""

        @cache
        @torch.no_grad()
        def support() -> Seen:
            # The generator and the features do not change while the potentials are trained.
            with statistics_kept(state.generator.module):
                fake = state.generator.module(state.latents)
            points = embedded({Fake(): fake, Real(): state.data}, state.critic)
            return self._seen(points, {Fake(): state.latents})

        return support

    def _draws(self, state: SwganState, batches: Batches) -> Draw:
        """A function of a term and a number of batches that draws them for training the term's potentials."""

        @torch.no_grad()
        def drawn_afresh(terms: Sequence[Term], n: int) -> Seen:
            with statistics_kept(state.generator.module):
                samples, codes = drawn_with_codes(terms, state.generator, batches, n)
            return self._seen(embedded(samples, state.critic), codes)

        pooled = cache(lambda: drawn_afresh([Term(1.0, Fake(), Real())], self.pool))

        def fresh(term: Term, count: int) -> Iterator[Clouds]:
            # If the generator uses batch statistics, it has to generate one batch at a time.
            together = 1 if mixes_samples(state.generator.module) else count
            for _ in range(count // together):
                points = drawn_afresh([term], together * self.batch)
                left, right = (points[side].split(self.batch) for side in (term.left, term.right))
                yield from zip(left, right, strict=True)

        def out_of_pool(term: Term, count: int) -> Iterator[Clouds]:
            left, right = (pooled()[type(side)()] for side in (term.left, term.right))
            for _ in range(count):
                # One permutation for both sides, so that the batches of a self term have no sample in common.
                order = batches.uniform(self.pool).argsort()
                yield left[order[: self.batch]], right[order[-self.batch :]]

        return out_of_pool if self.pool else fresh

    def _problem(self, term: Term, state: SwganState, draw: Draw, support: Callable[[], Seen]) -> DualProblem:
        """The dual problem of a term."""

        def judged() -> Clouds:
            left, right = (support()[type(side)()] for side in (term.left, term.right))
            # A self term: the two halves of its law's samples
            return (left, right) if type(term.left) is not type(term.right) else left.halves()

        reg = replace(self.reg, eps=self.present_eps(state))
        return DualProblem(self.cost, reg, partial(draw, term), judged, self.batch)

    def _held(
        self, terms: tuple[Term, ...], state: SwganState, problems: Problems, points: Sides, judged: Seen
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Algorithms 1 and 2, (c): a surrogate with the gradient of the terms, m held constant; and values to log.

        Args:
            terms: the terms to sum.
            state: holds the potentials.
            problems: the dual problems of the terms.
            points: the points that the gradient is with respect to.
            judged: the same points as the potentials see them; m is computed from these.
        """
        values: dict[str, Tensor] = {}
        loss = next(iter(points.values())).new_zeros(())
        for term in terms:
            between, x, y = Between.of(term), points[term.left], points[term.right]
            duals, problem = state.duals(between), problems[between]
            density, costs = self.oracle.density(duals, problem, judged[term.left], judged[term.right])
            # In a term between generated samples, both arguments depend on the generator.
            loss = loss + term.weight * held_cost(problem.cost, density, x, y)
            values |= {f"{between}_mass": density.mean(), f"{between}_cost": (density * costs).mean()}
            values[f"{between}_capped_updates"] = torch.tensor(duals.capped_updates)
        return loss, values

    def _rivalry(
        self, rivals: tuple[Term, ...], state: SwganState, problems: Problems, batches: Batches
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A surrogate with the gradient of (46) with respect to the features' weights; and values to log."""
        assert state.critic is not None
        with torch.no_grad(), statistics_kept(state.generator.module):
            samples, codes = drawn_with_codes(rivals, state.generator, batches, self.batch)
            # The potentials were trained on features in evaluation mode: on other features their plan is meaningless.
            judged = self._seen(embedded(samples, state.critic), codes)
        return self._held(rivals, state, problems, features(samples, state.critic), judged)

    def _report(self, state: SwganState, problem: DualProblem, clouds: Clouds) -> dict[str, Tensor]:
        report = potentials_report(state.cross, problem, clouds, self.oracle.conjugate(problem))
        state.reports += 1
        state.bound_squares += report.gradient_error_bound**2
        # By Remark 4.2.2, Theorem 4.2 needs only the mean of delta^2 over the steps. Its gradients are with respect to
        # the weights; here they are with respect to the points.
        values = asdict(report) | {"gradient_bound_mean_square": state.bound_squares / state.reports}
        return {name: torch.tensor(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class SWGANSinkhorn(SWGAN):
    """SWGAN on the Sinkhorn loss ``factor d(G(q), p) - factor / 2 d(G(q), G(q))`` (Sanjabi et al. 2018, Algorithm 2).

    Each of the two terms has its own potentials. The self term uses two batches that are independent of each other and
    of the cross term's. The self term of the data does not depend on the generator; it is left out, of the logged loss
    too.

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
    """A surrogate with the gradient of ``mean_ij m_ij c(x_i, y_j)``, m held constant; its value has no meaning.

    The gradient with respect to the points comes from the cost's own formula, which needs no ``(n, m, d)`` graph.
    """
    x, y = x.flatten(1), y.flatten(1)
    with torch.no_grad():
        by_x, by_y = cost.vjp(x.detach(), y.detach(), density / density.numel())
    held = (x * by_x).sum()
    return held + (y * by_y).sum() if y.requires_grad else held
