"""The convex critic (Pinetz et al. 2018): W1 on a grid, solved to an accuracy at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.data import FiniteSource, Mixture, Normal, Source
from otgen.errors import InputError
from otgen.methods.base import Adam, Batches, Logged, Method, Player, Update, transient
from otgen.methods.critic_grid import Cells, CriticGrid
from otgen.nets import LocationScaleMap, statistics_kept
from otgen.ot import GridMemory, GridSolution, GridSolver, GridW1, Outside, Stencil, solve

# Generated samples at once.
_CHUNK = 10_000
# Codes whose samples the grid must hold, where none is given.
_RANGE_CODES = 1000
# Standard deviations of a normal law that it must hold.
_REACH = 4.0


@dataclass
class ScoState:
    """State of :class:`SCO`.

    Attributes:
        generator: the generator.
        data: masses of the data, ``(N,)`` or ``(N, N)``, float64.
        grid: that the critic lives on; made anew from the configuration, in no checkpoint.
        memory: where the last solve ended, for the next to start from.
        steps: generator updates.
        counted: steps of the block of steps at hand.
        total: sum of W over them.
        squares: sum of its squares.
        before: mean of W over the block before; infinite while there is none.
        error: its standard error.
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

    Each step finds the masses of both laws on the cells, the critic f that is the best one on the grid (Algorithm 1,
    going on from the last one; a line has a closed form), and descends ``-mean f(g_theta(z))`` on fresh codes, with f
    between the nodes by interpolation (26). Masses are exact where the law is known: data that are Gaussians, and
    :class:`otgen.nets.LocationScale` of normal codes. Otherwise they are those of ``samples`` points, a data set's of
    all of its points, and W of two equal laws is not 0 but what the noise of sampling makes it. The paper takes 50,000.

    The step is plain gradient descent of length ``lr``, as in the paper, and W's slope does not fall as W does: a mean
    goes to and fro around the truth by up to ``lr`` for ever. Two tests end a run, and neither knows the truth:

    - W's upper bound is at most ``stop``. At ``0.8 lr``, the default, the mean and the standard deviation of a normal
      law are then within lr of the truth, up to the width of the cells, since W1 is at least the difference of the
      means, and at least ``sqrt(2 / pi)`` times that of the standard deviations;
    - the mean of W over ``patience`` steps is not below that of the ``patience`` steps before by three standard errors.

    Logged: ``loss``, which is W of the grid, in ``lower`` and ``upper`` for certain, and its ``solver_steps``.

    Attributes:
        batch: codes of a generator update, m.
        cells: of the grid; one whose ends are left out holds the data and the first samples of the generator.
        outside: what to do with mass outside the grid: refuse it, move it to the nearest cell, or leave it out, so that
            it goes to the rest in proportion. Data points are never moved: they are refused, or left out.
        samples: points that a law's masses are taken from where they are not known.
        stencil: which differences of the critic are held to length 1.
        solver: of W1 on the grid; chosen by the grid where it is left out.
        max_steps: the most solver steps.
        tol: relative gap to stop the solver at.
        lr: length of a step of plain descent, alpha.
        adam: takes the place of plain descent.
        stop: W at which the run ends; None is ``0.8 lr`` under plain descent, and 0 for Adam; 0 is never.
        patience: steps in which W must fall; 0 does not ask.
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
        points = self._data_points(data, rng)
        grid = self.cells.grid(torch.cat((points, self._first_samples(generator, latent, rng))))
        masses = self._data_masses(data, points, grid)
        grid.check(masses)
        plain = torch.optim.SGD(generator.parameters(), lr=self.lr)
        player = Player("generator", generator, plain if self.adam is None else self.adam.build(generator))
        masses = masses.to(next(generator.parameters()).device)
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
        logged = {
            "loss": solution.value,
            "lower": solution.lower,
            "upper": solution.upper,
            "solver_steps": torch.tensor(solution.steps),
        }
        return Logged(logged, settled=self._settled(state, solution))

    def _problem(self, grid: CriticGrid, data: Tensor, generated: Tensor) -> GridW1:
        return GridW1.between(data, generated, grid.dx, low=grid.low, stencil=self.stencil)

    @torch.no_grad()
    def _first_samples(self, generator: nn.Module, latent: Source, rng: torch.Generator) -> Tensor:
        # The grid must hold them too: outside of it the critic has no slope to bring them back.
        codes = latent.sample(_RANGE_CODES, rng).to(next(generator.parameters()).device)
        with statistics_kept(generator):
            samples: Tensor = generator(codes).cpu()
        return samples

    def _data_points(self, data: Source, rng: torch.Generator) -> Tensor:
        """Points that stand for the data, ``(n, d)``; of normal laws those that span them."""
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
        """Whether there is nothing left to gain; W is noted."""
        stop = (0.8 * self.lr if self.adam is None else 0.0) if self.stop is None else self.stop
        upper = float(solution.upper)
        if stop > 0 and upper <= stop:
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
