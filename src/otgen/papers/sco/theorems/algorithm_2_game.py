"""Pinetz et al. 2018: the generator's descent (section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from otgen.claims.base import Theorem, TheoremStatus, Trials
from otgen.data import Gaussian1D, Normal
from otgen.methods import SCO, Cells
from otgen.methods.base import Batches, Player
from otgen.methods.sco import ScoState
from otgen.nets import LocationScaleMap
from otgen.ot import Deposit, GridW1, histogram, solve
from otgen.papers.instances import normal, spread_out, uniform, weights
from otgen.papers.relations import Part, Relation, at_most, equal

_CELLS = Cells(low=-8.0, high=8.0, count=64)


class _Fit:
    """Otgen's SCO at a normal law on the line, float64, a step at a time."""

    def __init__(self, trials: Trials, data: Gaussian1D, location: float, scale: float, method: SCO) -> None:
        start = (torch.tensor([value], dtype=torch.float64) for value in (location, scale))
        self.module, self.method = LocationScaleMap(*start), method
        latent = Normal(dim=1)
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


@dataclass(frozen=True, kw_only=True)
class ZeroError(Theorem):
    """What constant steps can reach.

    Attributes:
        factor: of the step, the error that is left.
    """

    key: ClassVar[str] = "D5"
    where: ClassVar[str] = "section 5.1"
    statement: ClassVar[str] = "Algorithm 2 with a constant step ends at parameters without any error."
    corrected: ClassVar[str] = (
        "W1 has slope 1 in a mean however near it is, so a mean moves by exactly alpha a step and goes to and fro "
        "around the truth for ever: the error left is up to alpha, and 0 only where the start is a multiple of alpha "
        "away."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    factor: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        alpha, k = 0.05, trials.at_most(min(8, trials.n // 30))
        method = SCO(cells=_CELLS, lr=alpha, stop=0.0, patience=0)
        errors, moves = [], []
        offsets = alpha * (2.0 + 3.0 * uniform(trials.rng, k))
        for offset in offsets.tolist():
            fit = _Fit(trials, Gaussian1D(mean=0.5, std=1.0), 0.5 + offset, 1.0, method)
            fit.module.scale.requires_grad_(False)
            path = [fit.module.location.item()]
            for _ in range(12):
                fit.step()
                path.append(fit.module.location.item())
            places = torch.tensor(path, dtype=torch.float64)
            errors.append((places - 0.5).abs()[-4:].max())
            moves.append(places.diff().abs().mean())
        return [
            equal("error of the mean after the last steps, and 0", errors, 0.0, scale=alpha, tol=0.01),
            at_most(
                "error of the mean and alpha", errors, self.factor * alpha, tight=0.499, slack=1e-4, part=Part.CORRECTED
            ),
            equal("length of a step and alpha", moves, alpha, tol=1e-4, part=Part.CORRECTED),
        ]


@dataclass(frozen=True, kw_only=True)
class WeightsGradient(Theorem):
    """(5): how W moves with the generator.

    Attributes:
        sign: of the critic's mean gradient.
    """

    key: ClassVar[str] = "D6"
    where: ClassVar[str] = "(5)"
    statement: ClassVar[str] = "The gradient of W in theta is -E grad_theta f(g_theta(z)), f the best critic."
    conditions: ClassVar[str] = (
        "W is differentiable at theta, which asks for one best critic on the generated points. Where both laws are "
        "equal W has a kink: the formula gives 0, and W rises at slope 1."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.CONDITIONAL

    sign: float = -1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        k = trials.at_most(min(60, trials.n // 5))
        return [
            equal(
                f"slope of W and {self.sign:g} E grad_theta f, {label}",
                measured,
                formula,
                scale=1.0,
                tol=1e-4,
                part=part,
            )
            for part, label, (measured, formula) in (
                (Part.PRINTED, "laws that differ", self._slopes(trials, k, same=False)),
                (Part.OUTSIDE, "equal laws", self._slopes(trials, k, same=True)),
            )
        ]

    def _slopes(self, trials: Trials, k: int, *, same: bool) -> tuple[Tensor, Tensor]:
        """One-sided slopes of W along a way of shift and scale, and what the formula gives: ``(k,)`` each."""
        n, dx, h, measured, formula = 24, 0.5, 1e-7, [], []
        for _ in range(k):
            z = uniform(trials.rng, 40, low=2.0, high=10.0)
            # The codes are the points; theta is a shift and a scale around their middle.
            shift, scale = uniform(trials.rng, 2, low=0.2, high=1.0)
            way = shift + scale * (z - 6) / 6
            here, there = (histogram(points, n, dx, deposit=Deposit.HAT) for points in (z, z + h * way))
            mu = here if same else weights(trials.rng, n)
            solution = solve(GridW1.between(mu, here, dx))
            moved = solve(GridW1.between(mu, there, dx)).value
            measured.append((moved - solution.value) / h)
            points = z.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(solution.critic_at(points).mean(), points)
            formula.append(self.sign * (gradient * way).sum())
        return torch.stack(measured), torch.stack(formula)


@dataclass(frozen=True, kw_only=True)
class DescentSign(Theorem):
    """Algorithm 2's step.

    Attributes:
        sign: of the step along the critic's mean gradient.
    """

    key: ClassVar[str] = "D8"
    where: ClassVar[str] = "Algorithm 2"
    statement: ClassVar[str] = (
        "With c = d mu - d nu and mu the data, theta + alpha mean grad_theta f(g_theta(z)) descends W: the sign is "
        "plus."
    )
    conditions: ClassVar[str] = "Printed are f_i in place of f^l, and codes z_j of R^m: misprints."

    sign: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        method, alpha = SCO(cells=_CELLS, lr=0.01, stop=0.0, patience=0, batch=512), 0.01
        before, after = list[float](), list[float]()
        moved, wanted = list[float](), list[float]()
        for mean, std in zip(*self._laws(trials), strict=True):
            fit = _Fit(trials, Gaussian1D(mean=mean, std=std), 0.0, 1.0, method)
            twin = _written_out(fit)
            start = fit.module.location.item(), fit.module.scale.item()
            before.append(fit.step())
            end = fit.module.location.item(), fit.module.scale.item()
            after.append(fit.step())
            moved.extend((b - a) / alpha for a, b in zip(start, end, strict=True))
            wanted.extend(self.sign * g for g in twin)
        return [
            equal("step of otgen's SCO over alpha, and mean grad_theta f", moved, wanted, scale=1.0, tol=1e-5),
            at_most("W after a step and before it", after, before),
        ]

    def _laws(self, trials: Trials) -> tuple[list[float], list[float]]:
        k = trials.at_most(min(20, trials.n // 15))
        way = normal(trials.rng, k).sign()
        means = way * uniform(trials.rng, k, low=0.5, high=2.0)
        return means.tolist(), spread_out(trials.rng, k, 0.5, 2.0).tolist()


def _written_out(fit: _Fit) -> tuple[float, float]:
    """Mean gradient of the best critic in location and scale, on the codes of the coming step, written out."""
    codes = torch.Generator()
    codes.set_state(fit.batches.latent_rng.get_state())
    z = fit.batches.latent_law.sample(fit.method.batch, codes).double()
    module = fit.module
    grid = fit.state.grid
    masses = grid.of_normals(module.location.unsqueeze(0), module.scale)
    # The best critic on a line climbs against the mass that is missing on the left.
    c = fit.state.data.double() - masses
    slopes = -c.cumsum(0)[:-1].sign()
    place = (module.location + module.scale * z).detach().squeeze(1)
    edge = ((place - grid.low) / grid.dx - 0.5).floor().long().clamp(0, len(slopes) - 1)
    slope = slopes[edge]
    return slope.mean().item(), (slope * z.squeeze(1)).mean().item()


@dataclass(frozen=True, kw_only=True)
class Interpolation(Theorem):
    """The critic between the nodes.

    Attributes:
        power: of dx, in the units of the kernel.
    """

    key: ClassVar[str] = "D12"
    where: ClassVar[str] = "(25), (26)"
    statement: ClassVar[str] = (
        "Between the nodes the critic is sum_i f_i phi(x - i), on a plane the product over both axes, with the hat "
        "kernel phi of width 1."
    )
    corrected: ClassVar[str] = (
        "It is phi((x - x_i)/dx) with x_i = i dx the node: the kernel is in grid units. Then it has the nodes' values, "
        "and on a line the nodes' slopes."
    )
    recorded: ClassVar[TheoremStatus] = TheoremStatus.FALSE

    power: float = 1.0

    @override
    def relations(self, trials: Trials) -> Sequence[Relation]:
        sides, printed, corrected, library, slopes = ((12,), (5, 6)), [], [], [], []
        for instance in range(trials.at_most(min(40, trials.n // 10))):
            shape = sides[instance % 2]
            dx = float(spread_out(trials.rng, 1, 0.05, 0.5)) * (1.0 if instance % 4 < 2 else 8.0)
            mu, nu = (weights(trials.rng, 60)[: torch.Size(shape).numel()].reshape(shape) for _ in range(2))
            # Cell i, counted from 1, is [(i - 1/2) dx, (i + 1/2) dx), (12).
            solution = solve(
                GridW1.between(mu / mu.sum(), nu / nu.sum(), dx, low=dx / 2), tol=1e-2, on_unconverged="ignore"
            )
            size = torch.tensor(shape, dtype=torch.float64)
            x = dx * (1 + (size - 1) * uniform(trials.rng, 50, len(shape)))
            library.append(solution.critic_at(x) / dx)
            printed.append(_hats(solution.critic, x, 1.0, 1.0) / dx)
            corrected.append(_hats(solution.critic, x, dx, dx**self.power) / dx)
            if len(shape) == 1:
                steps = solution.critic_at(x + 1e-6 * dx) - solution.critic_at(x)
                slopes.append(steps.abs().max() / (1e-6 * dx))
        return [
            equal("(25), (26) and otgen's critic, over dx", printed, library, scale=1.0, tol=1e-9),
            equal(
                "in grid units, and otgen's critic, over dx",
                corrected,
                library,
                scale=1.0,
                tol=1e-9,
                part=Part.CORRECTED,
            ),
            at_most("slope between the nodes and 1, line", slopes, 1.0, tight=0.9, slack=1e-6, part=Part.CORRECTED),
        ]


def _hats(f: Tensor, x: Tensor, spacing: float, width: float) -> Tensor:
    """``sum_i f_i prod_k phi((x_k - spacing i_k) / width)`` with the hat (24): ``(n, d) -> (n,)``."""
    kernels = []
    for axis, size in enumerate(f.shape):
        nodes = spacing * torch.arange(1, size + 1, dtype=torch.float64)
        kernels.append((1 - ((x[:, axis : axis + 1] - nodes) / width).abs()).clamp(min=0))
    if f.ndim == 1:
        return kernels[0] @ f
    return ((kernels[0] @ f) * kernels[1]).sum(-1)
