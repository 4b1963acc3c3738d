"""Pinetz et al. 2018, (5), Algorithm 2 and section 5.1: the generator's descent: D5, D6, D8."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from otgen.data import Gaussian1D, Normal
from otgen.methods import SCO, Cells
from otgen.methods.base import Batches, Player
from otgen.methods.sco import ScoState
from otgen.nets import LocationScaleMap
from otgen.ot import Deposit, GridW1, histogram, solve
from otgen.papers.problems import normal, spread_out, uniform, weights
from otgen.papers.theorem import Part, Relation, Status, Trials, at_most, equal, theorem

_CELLS = Cells(low=-8.0, high=8.0, count=64)


class _Fit:
    """Otgen's SCO at a normal law on the line, from a scale of 1, float64, a step at a time."""

    def __init__(self, trials: Trials, data: Gaussian1D, location: float, method: SCO) -> None:
        start = (torch.tensor([value], dtype=torch.float64) for value in (location, 1.0))
        self.module, self.method, latent = LocationScaleMap(*start), method, Normal(dim=1)
        rng = torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=trials.rng)))
        self.batches = Batches(data, latent, rng, rng, torch.device("cpu"))
        state = method.init(self.module, latent, data, rng)
        assert isinstance(state, ScoState)
        self.state = state

    def step(self) -> float:
        """One step of Algorithm 2; W before it."""
        return float(self.method.step(self.state, self.batches, _descend).values["loss"])


def _descend(player: Player, loss: Tensor) -> None:
    player.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    player.optimizer.step()


@theorem(
    "D5",
    "section 5.1",
    "Algorithm 2 with a constant step ends at parameters without any error.",
    corrected="W1 has slope 1 in a mean however near it is, so a mean moves by exactly alpha a step and goes to and "
    "fro around the truth for ever: the error left is up to alpha, and 0 only where the start is a multiple of alpha "
    "away.",
    recorded=Status.FALSE,
)
def zero_error(trials: Trials, *, factor: float = 1.0) -> Iterator[Relation]:
    """What constant steps can reach: the error that is left is ``factor`` times the step."""
    alpha, data, errors, moves = 0.05, Gaussian1D(mean=0.5, std=1.0), [], []
    method = SCO(cells=_CELLS, lr=alpha, stop=0.0, patience=0)
    offsets = alpha * (2.0 + 3.0 * uniform(trials.rng, trials.at_most(min(8, trials.n // 30))))
    for offset in offsets.tolist():
        fit = _Fit(trials, data, 0.5 + offset, method)
        fit.module.scale.requires_grad_(False)
        path = [fit.module.location.item()]
        for _ in range(12):
            fit.step()
            path.append(fit.module.location.item())
        places = torch.tensor(path, dtype=torch.float64)
        errors.append((places - 0.5).abs()[-4:].max())
        moves.append(places.diff().abs().mean())
    part = Part.CORRECTED
    yield equal("error of the mean after the last steps, and 0", errors, 0.0, scale=alpha, tol=0.01)
    yield at_most("error of the mean and alpha", errors, factor * alpha, tight=0.499, slack=1e-4, part=part)
    yield equal("length of a step and alpha", moves, alpha, tol=1e-4, part=part)


@theorem(
    "D6",
    "(5)",
    "The gradient of W in theta is -E grad_theta f(g_theta(z)), f the best critic.",
    conditions="W is differentiable at theta, which asks for one best critic on the generated points. Where both laws "
    "are equal W has a kink: the formula gives 0, and W rises at slope 1.",
    recorded=Status.CONDITIONAL,
)
def gradient_of_distance(trials: Trials, *, sign: float = -1.0) -> Iterator[Relation]:
    """(5): how W moves with the generator; ``sign`` is that of the critic's mean gradient."""
    for part, laws, same in ((Part.PRINTED, "laws that differ", False), (Part.OUTSIDE, "equal laws", True)):
        slopes = [_slopes(trials, same) for _ in range(trials.at_most(min(60, trials.n // 5)))]
        measured, formula = torch.stack([torch.stack(pair) for pair in slopes]).unbind(-1)
        label = f"slope of W and {sign:g} E grad_theta f, {laws}"
        yield equal(label, measured, sign * formula, scale=1.0, tol=1e-4, part=part)


def _slopes(trials: Trials, same: bool) -> tuple[Tensor, Tensor]:
    """The one-sided slope of W along a way of shift and scale, and the mean of ``grad_theta f`` along it."""
    n, dx, h = 24, 0.5, 1e-7
    z = uniform(trials.rng, 40, low=2.0, high=10.0)
    # The codes are the points; theta is a shift and a scale around their middle.
    shift, scale = uniform(trials.rng, 2, low=0.2, high=1.0)
    way = shift + scale * (z - 6) / 6
    here, there = (histogram(points, n, dx, deposit=Deposit.HAT) for points in (z, z + h * way))
    mu = here if same else weights(trials.rng, n)
    solution, moved = (solve(GridW1.between(mu, nu, dx)) for nu in (here, there))
    points = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(solution.critic_at(points).mean(), points)
    return (moved.value - solution.value) / h, (gradient * way).sum()


@theorem(
    "D8",
    "Algorithm 2",
    "With c = d mu - d nu and mu the data, theta + alpha mean grad_theta f(g_theta(z)) descends W: the sign is plus.",
    conditions="Printed are f_i in place of f^l, and codes z_j of R^m: misprints.",
)
def descent_sign(trials: Trials, *, sign: float = 1.0) -> Iterator[Relation]:
    """Algorithm 2's step; ``sign`` is that of the step along the critic's mean gradient."""
    alpha, k = 0.01, trials.at_most(min(20, trials.n // 15))
    method = SCO(cells=_CELLS, lr=alpha, stop=0.0, patience=0, batch=512)
    means = normal(trials.rng, k).sign() * uniform(trials.rng, k, low=0.5, high=2.0)
    stds = spread_out(trials.rng, k, 0.5, 2.0)
    before, after, moved, wanted = list[float](), list[float](), list[float](), list[float]()
    for mean, std in zip(means.tolist(), stds.tolist(), strict=True):
        fit = _Fit(trials, Gaussian1D(mean=mean, std=std), 0.0, method)
        wanted += (sign * slope for slope in _written_out(fit))
        before.append(fit.step())
        moved += (fit.module.location.item() / alpha, (fit.module.scale.item() - 1) / alpha)
        after.append(fit.step())
    yield equal("step of otgen's SCO over alpha, and mean grad_theta f", moved, wanted, scale=1.0, tol=1e-5)
    yield at_most("W after a step and before it", after, before)


def _written_out(fit: _Fit) -> tuple[float, float]:
    """Mean gradient of the best critic in location and scale, on the codes of the coming step, written out."""
    z = fit.batches.latent_law.sample(fit.method.batch, fit.batches.latent_rng.clone_state()).double()
    location, scale, grid = fit.module.location, fit.module.scale, fit.state.grid
    # The best critic on a line climbs against the mass that is missing on the left.
    c = fit.state.data.double() - grid.of_normals(location.unsqueeze(0), scale)
    slopes = -c.cumsum(0)[:-1].sign()
    place = (location + scale * z).detach().squeeze(1)
    edge = ((place - grid.low) / grid.dx - 0.5).floor().long().clamp(0, len(slopes) - 1)
    return slopes[edge].mean().item(), (slopes[edge] * z.squeeze(1)).mean().item()
