"""Semi-discrete generators (Houdard et al. 2021): the critic is a vector, one number for each data point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import FiniteSource, Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Method, Player, Update, transient
from otgen.methods.optimizers import Adam, OptimizerConfig
from otgen.nets import statistics_kept
from otgen.ot import (
    KL,
    AtomPotentials,
    Cost,
    Discrete,
    NoReg,
    Regulariser,
    Relative,
    SemiDiscrete,
    SemiDiscreteSolution,
    SemiDiscreteSolver,
    SemiDiscreteState,
    Sinkhorn,
    SinkhornUpdate,
    SqEuclidean,
    Steps,
    StochasticSinkhorn,
    Stopping,
    solve,
)

# Pairs of points for a mean cost, which only sets a scale; also the default number of atoms of a law without points.
_SCALE_POINTS = 1000
# Sinkhorn steps for the self term's potential on a batch, from a cold start with annealing.
_SELF_STEPS = 50
# Minimum number of samples of the self term.
_LEAST_OWN = 2


class CostUnit(StrEnum):
    """The unit of a regularisation weight that is given as a number.

    COST: the cost as it is. COORDINATE: the cost divided by the number of coordinates, a mean over pixels.
    """

    COST = "cost"
    COORDINATE = "coordinate"


@dataclass
class SemiDiscreteGanState:
    """State of a :class:`SemiDiscreteGAN`.

    Attributes:
        generator: the generator.
        psi: the potentials on the data points, as their solver left them.
        target: the transport problem from the generated law to the data points; rebuilt from the data, not saved in
            checkpoints.
        steps: generator updates.
        updates: updates of psi since the start of the run.
    """

    generator: Player
    psi: SemiDiscreteState
    target: SemiDiscrete = transient()
    steps: int = 0
    updates: int = 0


@dataclass(frozen=True, kw_only=True)
class SemiDiscreteGAN(Method):
    """``min_theta W(theta)``, ``W = max_psi E_z psi^c(g_theta(z)) + <b, psi>``: Houdard et al. 2021, Algorithm 1.

    psi has one entry per data point. Each generator step continues from the psi of the step before, for ``most``
    stochastic updates or until psi is accurate. Then the generator takes one gradient step along (41), on fresh codes.
    (41) is the gradient of W at the exact psi only, so psi has to be accurate first: with a wrong psi the generator
    chases single data points.

    The regularised cost is biased: the generated law shrinks towards the mean, and collapses to it if half of eps
    exceeds the largest eigenvalue of the data's covariance (squared Euclidean cost). ``self_samples`` removes the bias,
    which the paper leaves open: the generator descends ``W(theta) - W(g_theta q, g_theta q) / 2``. The second term uses
    a potential computed on ``self_samples`` generated samples, with independent ones in the first argument. That
    potential is only as accurate as this number of samples allows, which is poor at a small eps.

    Logged: ``loss``, the semi-dual (39) on the batch, and ``psi_updates``, their number so far. The other values are
    estimated only when a line is logged, from fresh samples of the generator before its update, as many as the solver's
    ``check_samples``: ``semi_dual``, a mean, with ``semi_dual_lower``, a lower bound with 99 % confidence;
    ``chi_square`` of the masses that the data points attract (0 at the exact psi), with confidence limits ``_low`` and
    ``_high``; ``mean_cost`` between generated samples and data; and ``relative_eps``, eps divided by that.

    Attributes:
        batch: codes per generator update, K.
        atoms: number of data points to use, drawn once, at most as many as the data set has; None takes all of a data
            set, and 1,000 samples of any other law.
        cost: ground cost on flattened samples.
        reg: KL, with a number or relative to the mean cost between two data points; or NoReg.
        unit: unit of an eps given as a number.
        solver: how psi is updated; :class:`otgen.ot.AveragedSGD` is the paper's.
        most: maximum number of updates of psi per step, the paper's N_psi.
        first: maximum number of updates before the first step.
        until: the accuracy test that ends them early; Steps() takes them all.
        check_every: updates between two tests.
        self_samples: samples of the self term, at least 2: with one, the only plan is the product of the marginals,
            whatever eps is. 0 keeps the bias.
        generator_optimizer: optimiser of the generator.
    """

    batch: int = 100
    atoms: int | None = None
    cost: Cost = SqEuclidean()
    reg: Regulariser = KL(eps=Relative(0.01))
    unit: CostUnit = CostUnit.COST
    solver: SemiDiscreteSolver = StochasticSinkhorn(batch=100, follow=True)
    most: int = 20
    first: int = 300
    until: Stopping = Steps()
    check_every: int = 10
    self_samples: int = 0
    generator_optimizer: OptimizerConfig = Adam(lr=1e-4)

    def __post_init__(self) -> None:
        counts = (self.batch, self.most, self.first, self.check_every)
        if min(counts) < 1 or (self.atoms is not None and self.atoms < 1):
            raise InputError(
                f"batch, most, first and check_every must be at least 1, atoms too or None, got batch={self.batch}, "
                f"most={self.most}, first={self.first}, check_every={self.check_every} and atoms={self.atoms}"
            )
        if self.self_samples != 0 and self.self_samples < _LEAST_OWN:
            raise InputError(
                f"self_samples must be at least {_LEAST_OWN}, or 0 for no self term, got {self.self_samples}: the "
                "transport of a single sample to itself has no plan to choose; a few hundred are a start"
            )
        if self.self_samples and isinstance(self.reg, NoReg):
            raise InputError("without regularisation there is no bias to take off: self_samples needs KL, got NoReg")

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> SemiDiscreteGanState:
        device = next(generator.parameters()).device
        points, source = self._points(data, rng).to(device), _Pushforward(generator, latent, device)
        target = SemiDiscrete(source, points, cost=self.cost, reg=self._resolved(points, rng))
        player = self.generator_optimizer.player("generator", generator)
        return SemiDiscreteGanState(player, self.solver.init(target, None, rng), target)

    @override
    def step(self, state: SemiDiscreteGanState, batches: Batches, update: Update) -> Logged:
        solution: SemiDiscreteSolution = solve(
            state.target,
            self.solver,
            until=self.until,
            max_steps=self.most if state.steps else self.first,
            check_every=self.check_every,
            warm_start=state.psi if state.steps else None,
            on_unconverged="ignore",  # the chi-square is reported instead
            rng=batches.latent_rng,
        )
        state.psi = replace(solution.state, buffer=None)
        state.steps += 1
        state.updates += solution.steps
        values = {"psi_updates": torch.tensor(state.updates)}
        x = state.generator(batches.latent(self.batch)).flatten(1)
        loss = solution.loss(x)  # (39); its gradient is (41)
        values["loss"] = loss.detach()
        if self.self_samples:
            loss = loss - self._self_potential(state, batches).on(x).mean()
        weights = [weight.detach() for weight in state.generator.weights]
        before = [weight.clone() for weight in weights]
        update(state.generator, loss)

        def measured() -> dict[str, float]:
            # psi was computed for the generator before its update, so it is measured with those weights.
            with _held(weights, before):
                estimate, mean = solution.estimate, solution.problem.mean_cost
                return {
                    "semi_dual": estimate.value,
                    "semi_dual_lower": estimate.lower,
                    "chi_square": estimate.chi2,
                    "chi_square_low": estimate.chi2_low,
                    "chi_square_high": estimate.chi2_high,
                    "mean_cost": mean,
                    "relative_eps": solution.eps / mean if mean > 0 else 0.0,
                }

        return Logged(values, measured=measured)

    @override
    def potentials_of(self, state: SemiDiscreteGanState) -> AtomPotentials:
        return AtomPotentials(state.target, state.psi.average)

    def _self_potential(self, state: SemiDiscreteGanState, batches: Batches) -> AtomPotentials:
        """The potential of the self term, computed on a batch: its gradient is that of half the self term."""
        with torch.no_grad(), statistics_kept(state.generator.module):
            own = state.generator(batches.latent(self.self_samples)).flatten(1)
        reg, sinkhorn = state.target.reg, Sinkhorn(update=SinkhornUpdate.SYMMETRIC, anneal=0.6)
        g = solve(Discrete(own, own, cost=self.cost, reg=reg), sinkhorn, tol=0, max_steps=_SELF_STEPS).potentials.g
        return AtomPotentials(SemiDiscrete(state.target.source, own, cost=self.cost, reg=reg), g)

    def _points(self, data: Source, rng: torch.Generator) -> Tensor:
        """The data points that the entries of psi belong to, ``(m, d)``."""
        if not isinstance(data, FiniteSource):
            return data.sample(self.atoms or _SCALE_POINTS, rng).flatten(1)
        if self.atoms is not None and self.atoms > data.count:
            raise InputError(
                f"there are fewer data points than atoms asked for: {data.count} and {self.atoms}; lower atoms "
                "(--method.atoms), or take all points with atoms=None (--method.atoms null)"
            )
        points = data.support() if self.atoms is None else data.sample(self.atoms, rng)
        return points.flatten(1)

    def _resolved(self, points: Tensor, rng: torch.Generator) -> Regulariser:
        """The regulariser with a number for its weight, in units of the cost."""
        if not isinstance(self.reg, KL):
            return self.reg
        if not self.reg.is_relative:
            return KL(eps=self.reg.weight * (points.shape[1] if self.unit is CostUnit.COORDINATE else 1))
        # The mean cost between data points: that to generated samples changes during training.
        pairs = torch.randint(len(points), (2, _SCALE_POINTS), generator=rng).to(points.device)
        return self.reg.resolved(float(self.cost.paired(points[pairs[0]], points[pairs[1]]).mean()))


@contextmanager
def _held(weights: list[Tensor], values: list[Tensor]) -> Iterator[None]:
    """Give the weights, without a graph, other values inside the context."""
    now = [weight.clone() for weight in weights]
    try:
        torch._foreach_copy_(weights, values)
        yield
    finally:
        torch._foreach_copy_(weights, now)


class _Pushforward:
    """The generated law, as a source."""

    def __init__(self, generator: nn.Module, latent: Source, device: torch.device) -> None:
        self.generator, self.latent, self.device = generator, latent, device

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``n`` samples, ``(n, d)``; the generator's batch statistics are kept."""
        with statistics_kept(self.generator):
            x: Tensor = self.generator(self.latent.sample(n, rng).to(self.device))
        return x.flatten(1)
