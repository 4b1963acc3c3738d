"""Pinetz et al. 2018, Figures 1 and 2: the best critic between two fixed laws, and networks in its place.

    python studies/sco/critics.py [--updates 20000] [--seeds 10 11 12] [--out studies/sco]

For each pair of normal laws, on the line (Figure 1) and in the plane (Figure 2), it measures three critics. SCO's is
the best one on a grid of exact masses; it depends on no seed. The other two are the paper's networks, one with clipped
weights and one with a gradient penalty, trained for fewer updates at a larger step size than in the paper. It prints a
line for each critic, and files the results of ``sco.fig1`` and ``sco.fig2`` with otgen, the pictures beside this file;
with another ``--out`` it writes all of them there.

The values of a run; means over a law are integrals over a grid four times as fine as SCO's, with exact masses:

- ``claimed``: the critic's W1, mean f over the data minus mean f over the model; 0 for every f where both are equal;
- ``lipschitz``: the largest slope of f at the middles of the fine cells;
- ``bound``: ``claimed / lipschitz``, what f proves: it is at most W1;
- ``proved``: ``bound / w1``; absent where W1 is 0;
- ``linear_share``: the share of the variance of f, over the fine cells with equal weights, that a linear function
  explains; 1 where f is constant;
- ``spread``: the standard deviation of f over the data;
- ``w1``: W1 in closed form; for SCO also ``w1_grid`` in ``[w1_lower, w1_upper]``, W1 on the grid, certified.

A full run takes about seven minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from otgen.methods import Adam, CriticGrid, GradientPenalty
from otgen.nets import Activation, MlpCritic, seeded
from otgen.ot import GridSolution, GridW1, Stencil, solve
from otgen.papers import Outcome, PanelRuns, Results, Scale, filed
from otgen.train.rundir import environment

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
BATCH, CLIP = 128, 0.1
# Critics are measured on so many cells an axis for one of SCO's.
FINE = 4
CRITICS = {"sco": "SCO", "clipped": "clipped weights", "penalised": "gradient penalty"}

Critic = Callable[[Tensor], Tensor]
Critics = dict[tuple[str, str], Critic]


@dataclass(frozen=True)
class Law:
    """A normal law with independent coordinates."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``(n, d)``."""
        noise = torch.randn(n, len(self.mean), generator=rng)
        return torch.tensor(self.mean) + torch.tensor(self.std) * noise

    def masses(self, grid: CriticGrid) -> Tensor:
        """The exact masses of the cells, ``(count,) * d``."""
        return grid.of_normals(torch.tensor([self.mean]), torch.tensor(self.std))


@dataclass(frozen=True)
class Pair:
    """Two laws, and their W1 in closed form."""

    name: str
    w1: float
    data: Law
    model: Law

    @property
    def dims(self) -> int:
        """Number of coordinates."""
        return len(self.data.mean)

    @property
    def grid(self) -> CriticGrid:
        """The grid of SCO's critic."""
        line = self.dims == 1
        return CriticGrid(low=-8, high=8, count=320) if line else CriticGrid(low=-6, high=6, count=96)

    @property
    def fine(self) -> CriticGrid:
        """The grid on which every critic is measured."""
        return replace(self.grid, count=FINE * self.grid.count)

    @property
    def widths(self) -> tuple[int, int]:
        """Hidden layers of the paper's networks."""
        return (16, 16) if self.dims == 1 else (128, 128)


def middles(grid: CriticGrid, dims: int) -> Tensor:
    """Middles of the cells, ``(count^dims, dims)``."""
    line = grid.low + grid.dx * (torch.arange(grid.count) + 0.5)
    return torch.cartesian_prod(*[line] * dims).reshape(-1, dims)


# The paper's pictures are lost: these are pairs of the kinds that its text names.
LINE = (
    Pair("means", 3.0, Law((1.5,), (1.0,)), Law((-1.5,), (1.0,))),
    Pair("spreads", 1.5 * math.sqrt(2 / math.pi), Law((0.0,), (0.5,)), Law((0.0,), (2.0,))),
    Pair("identical", 0.0, Law((0.0,), (1.0,)), Law((0.0,), (1.0,))),
)
PLANE = (
    Pair("means", math.sqrt(8), Law((1.0, 1.0), (0.7, 0.7)), Law((-1.0, -1.0), (0.7, 0.7))),
    Pair("spreads", 1.2 * math.sqrt(math.pi / 2), Law((0.0, 0.0), (0.3, 0.3)), Law((0.0, 0.0), (1.5, 1.5))),
)


def exact(pair: Pair) -> GridSolution:
    """The best critic, with its certified interval."""
    grid = pair.grid
    # The symmetric stencil: the interpolated critic is then 1-Lipschitz for certain.
    stencil = Stencil.FORWARD if pair.dims == 1 else Stencil.SYMMETRIC
    data, model = pair.data.masses(grid), pair.model.masses(grid)
    return solve(GridW1.between(data, model, grid.dx, low=grid.low, stencil=stencil), tol=1e-3, max_steps=20_000)


def trained(pair: Pair, updates: int, seed: int, *, clipped: bool) -> nn.Module:
    """A network in the critic's place: it ascends mean f(data) - mean f(model), less the penalty."""
    rng = torch.Generator().manual_seed(seed)
    with seeded(rng):
        net = MlpCritic(widths=pair.widths, activation=Activation.RELU).build((pair.dims,), 1)
    adam = Adam(lr=1e-3, beta1=0.0, beta2=0.99 if clipped else 0.9, hold=0.5, end=0.05)
    player = adam.player("critic", net, CLIP if clipped else None)
    penalty = GradientPenalty()
    for update in range(updates):
        real, fake = pair.data.sample(BATCH, rng), pair.model.sample(BATCH, rng)
        loss = net(fake).mean() - net(real).mean()
        if not clipped:
            loss = loss + penalty(net, real, fake, torch.rand(BATCH, generator=rng))
        player.optimizer.param_groups[0]["lr"] = adam.lr_at(update / updates)
        player.optimizer.zero_grad()
        loss.backward()
        player.optimizer.step()
        player.project()
    return net


def measured(pair: Pair, critic: Critic) -> dict[str, float]:
    """The values of a critic."""
    points = middles(pair.fine, pair.dims).requires_grad_()
    outputs = critic(points).flatten()
    (slopes,) = torch.autograd.grad(outputs.sum(), points)
    values = outputs.detach().double()
    data, model = (law.masses(pair.fine).flatten() for law in (pair.data, pair.model))
    claimed, lipschitz = float((data - model) @ values), float(slopes.norm(dim=1).max())
    bound = claimed / lipschitz if lipschitz > 0 else 0.0
    found = {
        "claimed": claimed,
        "lipschitz": lipschitz,
        "bound": bound,
        "linear_share": linear_share(points.detach(), values),
        "spread": math.sqrt(float(data @ (values - data @ values).square())),
        "w1": pair.w1,
    }
    return found | ({"proved": bound / pair.w1} if pair.w1 > 0 else {})


def linear_share(points: Tensor, values: Tensor) -> float:
    """The share of the values' variance, over ``(n, d)`` points, that a linear function explains: R squared."""
    basis = torch.cat((torch.ones(len(points), 1), points), 1).double()
    left = values - basis @ torch.linalg.lstsq(basis, values.unsqueeze(1)).solution[:, 0]
    total = float((values - values.mean()).square().sum())
    # Rounding alone makes it negative.
    return max(0.0, 1 - float(left.square().sum()) / total) if total > 0 else 1.0


def sco_run(pair: Pair, seed: int) -> tuple[Outcome, Critic]:
    """SCO's critic; the seed is only written down."""
    start = time.perf_counter()
    best = exact(pair)
    seconds = time.perf_counter() - start

    def critic(x: Tensor) -> Tensor:
        return best.critic_at(x).float()

    grid = {"w1_grid": best.value, "w1_lower": best.lower, "w1_upper": best.upper}
    values = measured(pair, critic) | {key: float(value) for key, value in grid.items()}
    return Outcome(seed=seed, steps=best.steps, seconds=seconds, critic_updates=0, values=values), critic


def network_run(pair: Pair, updates: int, seed: int, *, clipped: bool) -> tuple[Outcome, Critic]:
    """A trained network."""
    start = time.perf_counter()
    net = trained(pair, updates, seed, clipped=clipped)
    seconds = time.perf_counter() - start
    values = measured(pair, net)
    run = Outcome(seed=seed, steps=updates, seconds=seconds, critic_updates=updates, values=values)
    if not math.isfinite(values["claimed"]):
        return replace(run, values={}, diverged="its outputs are not finite"), net
    return run, net


def figure(number: int, pairs: Sequence[Pair], updates: int, seeds: Sequence[int], out: Path) -> None:
    """Measure, print, and write ``fig<number>.json`` and its picture."""
    panels: dict[str, tuple[str, tuple[Outcome, ...]]] = {}
    critics: Critics = {}
    for pair in pairs:
        for kind, title in CRITICS.items():
            found = [
                sco_run(pair, seed) if kind == "sco" else network_run(pair, updates, seed, clipped=kind == "clipped")
                for seed in seeds
            ]
            runs = tuple(run for run, _ in found)
            panels[f"{pair.name}-{kind}"] = f"{title}: {pair.name}", runs
            # The picture is the first seed's.
            critics[pair.name, kind] = found[0][1]
            print(f"fig{number} {pair.name}-{kind}: {summary(runs)}", flush=True)
    # The paper trains its networks for 10^6 updates.
    made = {
        name: PanelRuns(title=title, runs=runs, paper_steps=None if name.endswith("sco") else 1_000_000)
        for name, (title, runs) in panels.items()
    }
    results = Results(figure=f"sco.fig{number}", scale=Scale.CPU, panels=made, environments=(environment(),))
    results.write(filed(results.figure) if out == HERE else out / f"fig{number}.json")
    (draw_line if pairs[0].dims == 1 else draw_plane)(pairs, critics).savefig(out / f"fig{number}.png", dpi=100)


def summary(runs: Sequence[Outcome]) -> str:
    """Mean (least to most) of what matters."""
    words = []
    for key in ("claimed", "lipschitz", "proved", "linear_share"):
        values = [run.values[key] for run in runs if key in run.values]
        if values:
            words.append(f"{key} {fmean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
    return ", ".join(words)


@torch.no_grad()
def scaled(critic: Critic, points: Tensor) -> Tensor:
    """Its values as the paper draws them: mean 0, and at most 0.1."""
    values = critic(points).flatten()
    centred = values - values.mean()
    return centred / (10 * centred.abs().max().clamp(min=1e-12))


def draw_line(pairs: Sequence[Pair], critics: Critics) -> Figure:
    """Densities and critics, a panel for each pair."""
    picture, axes = plt.subplots(1, len(pairs), figsize=(5 * len(pairs), 3.4), layout="constrained")
    for ax, pair in zip(axes, pairs, strict=True):
        x = middles(pair.grid, 1)
        for law, name in ((pair.data, "data"), (pair.model, "model")):
            ax.fill_between(x[:, 0], law.masses(pair.grid) / pair.grid.dx, alpha=0.25, label=name)
        for kind, title in CRITICS.items():
            ax.plot(x[:, 0], scaled(critics[pair.name, kind], x), label=title)
        ax.set(title=pair.name, xlim=(-6, 6))
        ax.legend(fontsize=7)
    return picture


def draw_plane(pairs: Sequence[Pair], critics: Critics) -> Figure:
    """Contours, a row for each pair."""
    picture, axes = plt.subplots(
        len(pairs), len(CRITICS), figsize=(11, 3.6 * len(pairs)), layout="constrained", squeeze=False
    )
    for row, pair in zip(axes, pairs, strict=True):
        span = (pair.grid.low, pair.grid.high) * 2
        for ax, (kind, title) in zip(row, CRITICS.items(), strict=True):
            values = scaled(critics[pair.name, kind], middles(pair.grid, 2)).reshape(pair.grid.count, -1).T
            ax.contourf(values, levels=21, extent=span, cmap="coolwarm", vmin=-0.1, vmax=0.1)
            ax.set(title=f"{pair.name}: {title}", aspect="equal")
    return picture


def main() -> None:
    """Measure both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20_000, help="of each network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--out", type=Path, default=HERE)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    figure(1, LINE, chosen.updates, chosen.seeds, chosen.out)
    figure(2, PLANE, chosen.updates, chosen.seeds, chosen.out)


if __name__ == "__main__":
    main()
