"""SWGAN (Sanjabi, Ba, Razaviyayn, Lee 2018): gradients of a smooth transport value from nearly optimal duals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import Source
from otgen.errors import InputError
from otgen.methods.base import Adam, Batches, Logged, Method, Player, Update
from otgen.methods.dual_report import dual_report
from otgen.methods.duals import Clouds, DualOracle, DualProblem, DualState
from otgen.methods.transport import Fake, Real, Term, drawn
from otgen.nets import seeded, statistics_kept
from otgen.ot import L1, Combination, Cost, Discrete, Quadratic, SmoothRegulariser
from otgen.ot.divergences import combine


@dataclass
class SwganState:
    """State of :class:`SWGAN`.

    Attributes:
        generator: the generator.
        cross: potentials between generated samples and data.
        own: the potential of generated samples with themselves; None without such a term.
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
    latents: Tensor
    data: Tensor
    eps: float
    step: int = 0
    reports: int = 0
    bound_squares: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SWGAN(Method):
    """Stochastic gradient descent on ``h(theta) = d_{c,eps}(G_theta(q), p)`` (Sanjabi et al. 2018, Algorithm 1).

    Each generator step trains the potentials until they are accurate, draws fresh batches, takes the density ``m`` of
    the pseudo-plan (6) between them as a constant, and descends ``1 / S^2 sum_ij m_ij c(G(x_i), y_j)``. Nothing is
    propagated through the potentials. What is descended is d, the regularisation term included: its gradient is that
    of the optimal plan's cost with the plan held, the gradient of the plan's cost alone is another one.

    Attributes:
        batch: samples of each law, S, in each update of either kind.
        cost: ground cost on samples, flattened.
        reg: regulariser, KL or Quadratic; a relative weight is resolved once, on the fixed support at the start.
        oracle: how the potentials are trained.
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
        if not 1 <= self.anneal_from < math.inf:
            raise InputError(f"anneal_from is a multiple of eps and must be at least 1, got {self.anneal_from}")

    def terms(self) -> tuple[Term, ...]:
        """What the generator descends, each term between fresh, independent batches."""
        return (Term(1.0, Fake(), Real()),)

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> SwganState:
        device = next(generator.parameters()).device
        alone = [term for term in self.terms() if isinstance(term.right, Fake)]
        with seeded(rng):
            cross = self.oracle.state("potentials", data.shape, device)
            own = self.oracle.state("own potential", data.shape, device, symmetric=True) if alone else None
        latents, points = (source.sample(self.support, rng).to(device) for source in (latent, data))
        with torch.no_grad(), statistics_kept(generator):
            fake = generator(latents)
        reg = Discrete(fake.flatten(1), points.flatten(1), cost=self.cost, reg=self.reg).resolved().reg
        player = Player("generator", generator, self.generator_optimizer.build(generator))
        return SwganState(player, cross, own, latents, points, _weight(reg))

    @override
    def step(self, state: SwganState, batches: Batches, update: Update) -> Logged:
        tasks = [self._task(term, state, batches) for term in self.terms()]
        # Algorithm 1, (a): the oracle
        spent = sum(self.oracle.ascend(duals, problem, update) for duals, problem in tasks)
        # (b): fresh batches, independent of (a)
        clouds = drawn(self.terms(), state.generator, batches, self.batch)
        values = {"dual_steps": torch.tensor(float(spent))}
        loss = clouds[Fake()].new_zeros(())
        for term, (duals, problem) in zip(self.terms(), tasks, strict=True):
            x, y = clouds[term.left], clouds[term.right]
            density, costs = self.oracle.density(duals, problem, x.detach(), y.detach())
            # (c): m held constant; both arguments of a term between generated samples move
            loss = loss + term.weight * held_cost(problem.cost, density, x, y)
            name = "plan" if duals is state.cross else "own_plan"
            values |= {f"{name}_mass": density.mean(), f"{name}_cost": (density * costs).mean()}
            values[f"{name}_guard_trips"] = torch.tensor(float(duals.trips))
        points = {side: cloud.detach() for side, cloud in clouds.items()}
        if (state.step + 1) % self.report_every == 0:
            values |= self._report(state, tasks[0], (points[Fake()], points[Real()]))
        update(state.generator, loss)
        state.step += 1
        reg = tasks[0][1].reg
        return Logged(values, lambda: self._certified(points, reg))

    def present_eps(self, state: SwganState) -> float:
        """The regularisation weight of the next step."""
        left = 1 - min(state.step / self.anneal_steps, 1.0) if self.anneal_steps else 0.0
        return float(state.eps * self.anneal_from**left)

    def _task(self, term: Term, state: SwganState, batches: Batches) -> tuple[DualState, DualProblem]:
        """The potentials of a term, and the problem that they solve."""
        generator = state.generator.module

        @torch.no_grad()
        def draw() -> Clouds:
            with statistics_kept(generator):
                clouds = drawn([term], state.generator, batches, self.batch)
            return clouds[term.left], clouds[term.right]

        @cache
        @torch.no_grad()
        def support() -> Clouds:
            # The generator stands still while the potentials are trained.
            with statistics_kept(generator):
                fake = generator(state.latents)
            half = len(fake) // 2
            return (fake, state.data) if isinstance(term.right, Real) else (fake[:half], fake[half:])

        duals = state.cross if isinstance(term.right, Real) else state.own
        assert duals is not None
        reg = replace(self.reg, eps=self.present_eps(state))
        return duals, DualProblem(self.cost, reg, draw, support)

    def _report(self, state: SwganState, task: tuple[DualState, DualProblem], clouds: Clouds) -> dict[str, Tensor]:
        duals, problem = task
        found = dual_report(duals, problem, clouds)
        state.reports += 1
        state.bound_squares += found.gradient_error_bound**2
        values = found.values()
        # Remark 4.2.2: the delta^2 of Theorem 4.2 may be the mean of the steps' own.
        values["gradient_error_mean_square"] = state.bound_squares / state.reports
        return {name: torch.tensor(value) for name, value in values.items()}

    def _certified(self, points: dict[Fake | Real, Tensor], reg: SmoothRegulariser) -> Combination:
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
    return (x * by_x).sum() + (y * by_y).sum()


def _weight(reg: object) -> float:
    assert isinstance(reg, SmoothRegulariser)
    return reg.weight
