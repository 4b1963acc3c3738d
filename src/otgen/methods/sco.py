"""The convex critic (Pinetz et al. 2018): W1 on a grid, solved to a given accuracy at every generator step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import FiniteSource, Mixture, Normal, Source
from otgen.errors import InputError
from otgen.methods.base import Batches, Logged, Method, Player, Update, transient
from otgen.methods.critic_grid import Cells, CriticGrid, GridCritic
from otgen.methods.optimizers import SGD, Adam
from otgen.nets import LocationScaleMap, statistics_kept
from otgen.ot import GridMemory, GridSolution, GridSolver, GridW1, Outside, Stencil, solve

# Samples generated at a time.
_CHUNK = 10_000
# Number of latent codes whose samples a grid without given ends has to contain.
_RANGE_CODES = 1000
# Standard deviations of a Gaussian around its mean that such a grid has to contain.
_REACH = 4.0


@dataclass
class ScoState:
    """State of :class:`SCO`.

    Attributes:
        generator: the generator.
        data: masses of the data, ``(N,)`` or ``(N, N)``, float64.
        grid: the critic's grid; rebuilt from the configuration, not saved in checkpoints.
        memory: final state of the last solve, from which the next one is warm-started.
        steps: generator updates.
        counted: steps so far in the current block of ``patience`` steps.
        total: sum of W over these steps.
        squares: sum of W^2 over these steps.
        before: mean of W over the previous block; infinite if there is none.
        error: standard error of ``before``.
    """

    generator: Player
    data: Tensor
    memory: GridMemory
    grid: CriticGrid = transient()
    steps: int = 0
    counted: int = 0
    total: float = 0.0
    squares: float = 0.0
    before: float = math.inf
    error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SCO(Method):
    """``min_theta W1(p, g_theta(q))`` on a grid of one or two dimensions: Pinetz et al. 2018, Algorithm 2.

    Each generator step computes the masses of both laws in the cells and the optimal critic f on the grid (Algorithm 1,
    warm-started from the last critic; a line has a closed form). It then descends ``-mean f(g_theta(z))`` on fresh
    codes, with f interpolated between the nodes (26). The masses are exact if the law is known: Gaussian mixtures, and
    :class:`otgen.nets.LocationScale` on normal codes. Otherwise they come from ``samples`` points, or from all points
    of a data set, and sampling noise makes W of two equal laws positive. The paper takes 50,000 points.

    The update is plain gradient descent with step size ``lr``, as in the paper. The gradient of W does not vanish as W
    falls, so that a mean oscillates around the true one by up to ``lr`` for ever. Two tests end a run, and neither uses
    the true parameters:

    - W's upper bound is at most ``stop``. At ``0.8 lr``, the default, the mean and the standard deviation of a normal
      law are then within lr of the true ones, up to the width of a cell, because W1 is at least the difference of the
      means, and at least ``sqrt(2 / pi)`` times that of the standard deviations;
    - the mean of W over ``patience`` steps is not at least three standard errors below that of the ``patience`` steps
      before.

    Logged: ``loss``, W on the grid; its certified bounds ``lower`` and ``upper``; and ``solver_steps``.

    Attributes:
        batch: codes per generator update, m.
        cells: the grid; if its ends are not given, it contains the data and the generator's first samples.
        outside: what to do with mass outside the grid: refuse it, move it to the nearest cell, or drop it and rescale
            the rest to mass 1. Data points are never moved: they are refused or dropped.
        samples: number of points from which the masses of a law are estimated if they are not known.
        stencil: which differences of the critic are held to length 1.
        solver: solver of W1 on the grid; None takes the default one for the grid.
        max_steps: maximum number of solver steps.
        tol: relative gap at which the solver stops.
        lr: step size of plain gradient descent, alpha.
        adam: replaces plain gradient descent.
        stop: upper bound of W at which the run ends; 0 means never; None is ``0.8 lr`` for plain descent, 0 for Adam.
        patience: number of steps within which W has to fall; 0 turns this test off.
    """

    loss_of: ClassVar[str] = "W1 of both laws' masses on the grid"

    batch: int = 128
    cells: Cells = Cells()
    outside: Outside = Outside.CLAMP
    samples: int = 5_000
    stencil: Stencil = Stencil.FORWARD
    solver: GridSolver | None = None
    max_steps: int = 2000
    tol: float = 1e-2
    lr: float = 5e-3
    adam: Adam | None = None
    stop: float | None = None
    patience: int = 200

    def __post_init__(self) -> None:
        if min(self.batch, self.samples, self.max_steps) < 1 or self.patience < 0 or not 0 < self.tol < 1:
            raise InputError(
                "batch, samples and max_steps must be at least 1, patience at least 0 and tol in (0, 1), got "
                f"{self.batch}, {self.samples}, {self.max_steps}, {self.patience} and {self.tol}"
            )
        if not 0 < self.lr < math.inf or (self.stop is not None and not self.stop >= 0):
            raise InputError(f"lr must be positive and stop at least 0, got {self.lr} and {self.stop}")

    @override
    def accepts(self, data: Source) -> None:
        if data.shape not in ((1,), (2,)):
            raise InputError(
                f"SCO's critic lives on a grid of one or two dimensions, and samples have shape {data.shape}; take "
                "another method, such as PixelSinkhorn() (--method PixelSinkhorn), or reduce the data to two columns"
            )

    @override
    def init(self, generator: nn.Module, latent: Source, data: Source, rng: torch.Generator) -> ScoState:
        self.accepts(data)
        points, device = self._data_points(data, rng), next(generator.parameters()).device
        # The grid has to contain the first samples too: outside of it the critic has no gradient to bring them back.
        with torch.no_grad(), statistics_kept(generator):
            samples = generator(latent.sample(_RANGE_CODES, rng).to(device)).cpu()
        grid = self.cells.grid(torch.cat((points, samples)))
        masses = self._data_masses(data, points, grid)
        grid.check(masses)
        optimizer = SGD(lr=self.lr) if self.adam is None else self.adam
        player = optimizer.player("generator", generator)
        masses = masses.to(device)
        return ScoState(player, masses, GridMemory.empty(self._problem(grid, masses, masses)), grid)

    @override
    def step(self, state: ScoState, batches: Batches, update: Update) -> Logged:
        solution: GridSolution = solve(
            self._problem(state.grid, state.data, self._generated_masses(state, batches)),
            self.solver,
            tol=self.tol,
            max_steps=self.max_steps,
            warm_start=state.memory if state.steps else None,
            on_unconverged="ignore",  # the interval is logged
        )
        state.memory = solution.memory
        x = state.generator(batches.latent(self.batch))
        # Algorithm 2: theta + alpha / m sum_j grad f(g_theta(z_j)); c = d mu - d nu with mu the data.
        update(state.generator, -solution.critic_at(x, outside=Outside.CLAMP).mean())
        state.steps += 1
        logged = {"loss": solution.value, "lower": solution.lower, "upper": solution.upper}
        logged["solver_steps"] = torch.tensor(solution.steps)
        return Logged(logged, settled=self._settled(state, solution))

    @override
    def critic_of(self, state: ScoState) -> nn.Module:
        return GridCritic(state.grid, (state.memory.critic * state.grid.dx).reshape(state.data.shape))

    def _problem(self, grid: CriticGrid, data: Tensor, generated: Tensor) -> GridW1:
        return GridW1.between(data, generated, grid.dx, low=grid.low, stencil=self.stencil)

    def _data_points(self, data: Source, rng: torch.Generator) -> Tensor:
        """Points that represent the data, ``(n, d)``; for Gaussians, the corners of the range to cover."""
        if isinstance(data, Mixture):
            centres, reach = data.centres(), _REACH * data.spread()
            return torch.cat((centres - reach, centres + reach))
        return data.support() if isinstance(data, FiniteSource) else data.sample(self.samples, rng)

    def _data_masses(self, data: Source, points: Tensor, grid: CriticGrid) -> Tensor:
        if isinstance(data, Mixture):
            return grid.of_normals(data.centres(), data.spread(), self.outside)
        lost = grid.lost(points)
        if lost and self.outside is not Outside.DROP:
            raise InputError(
                f"{lost} of {len(points)} data points are outside SCO's grid, [{grid.low}, {grid.high}] along each "
                f"axis: they span [{float(points.min()):.4g}, {float(points.max()):.4g}]; set cells.low and cells.high "
                "around them (--method.cells.low, --method.cells.high), or leave the points out with "
                "outside='drop' (--method.outside drop)"
            )
        return grid.of_samples(points, self.outside)

    @torch.no_grad()
    def _generated_masses(self, state: ScoState, batches: Batches) -> Tensor:
        module = state.generator.module
        if isinstance(module, LocationScaleMap) and isinstance(batches.latent_law, Normal):
            return state.grid.of_normals(module.location.unsqueeze(0), module.scale, self.outside)
        codes = batches.latent(self.samples)
        with statistics_kept(module):
            points = torch.cat([state.generator(part) for part in torch.split(codes, _CHUNK)])
        return state.grid.of_samples(points, self.outside)

    def _settled(self, state: ScoState, solution: GridSolution) -> bool:
        """Whether one of the two tests ends the run; records W."""
        stop = (0.8 * self.lr if self.adam is None else 0.0) if self.stop is None else self.stop
        if stop > 0 and float(solution.upper) <= stop:
            return True
        if self.patience == 0:
            return False
        value = float(solution.value)
        state.counted += 1
        state.total += value
        state.squares += value * value
        if state.counted < self.patience:
            return False
        mean = state.total / state.counted
        error = math.sqrt(max(state.squares / state.counted - mean * mean, 0.0) / state.counted)
        falling = mean < state.before - 3 * math.hypot(error, state.error)
        state.before, state.error, state.counted, state.total, state.squares = mean, error, 0, 0.0, 0.0
        return not falling
