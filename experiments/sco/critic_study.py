"""Pinetz et al. 2018, Figures 1 and 2: the best critic between two fixed laws, and what networks make of it.

    python experiments/sco/critic_study.py [--updates 20000] [--seeds 3] [--out FOLDER]

For each pair of normal laws: W1 on a grid from exact masses, in its certified interval, and networks with clipped
weights and with a gradient penalty, trained as the paper trains them for fewer updates and at a larger step size. Of
each network: the W1 that it claims (the difference of its means), its Lipschitz constant as measured on the grid, the
quotient of the two, which is a lower bound and what its shape is worth, and how much of its variation a straight line
explains.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import torch
from torch import Tensor, nn

from otgen.methods import Adam, Cells, GradientPenalty
from otgen.nets import Activation, MlpCritic, seeded
from otgen.ot import GridSolution, GridW1, Stencil, solve

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

BATCH, CLIP, SAMPLES = 128, 0.1, 100_000


@dataclass(frozen=True)
class Law:
    """A normal law with independent coordinates."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """``(n, d)``."""
        noise = torch.randn(n, len(self.mean), generator=rng)
        return torch.tensor(self.mean) + torch.tensor(self.std) * noise

    def masses(self, cells: Cells) -> Tensor:
        """On the cells, exact."""
        return cells.of_normals(torch.tensor([self.mean]), torch.tensor(self.std))


@dataclass(frozen=True)
class Pair:
    """Data and model, and their W1 in closed form."""

    title: str
    w1: float
    data: Law
    model: Law
    cells: Cells
    widths: tuple[int, ...]

    @property
    def dims(self) -> int:
        """Coordinates."""
        return len(self.data.mean)

    def nodes(self) -> Tensor:
        """Middles of the cells, ``(cells, d)``."""
        line = self.cells.low + self.cells.dx * (torch.arange(self.cells.count) + 0.5)
        return torch.cartesian_prod(*[line] * self.dims).reshape(-1, self.dims)


LINE, PLANE = Cells(low=-8, high=8, count=320), Cells(low=-6, high=6, count=96)
PAIRS = (
    Pair("line, means", 3.0, Law((1.5,), (1.0,)), Law((-1.5,), (1.0,)), LINE, (16, 16)),
    Pair("line, spreads", 1.5 * math.sqrt(2 / math.pi), Law((0.0,), (0.5,)), Law((0.0,), (2.0,)), LINE, (16, 16)),
    Pair("line, identical", 0.0, Law((0.0,), (1.0,)), Law((0.0,), (1.0,)), LINE, (16, 16)),
    Pair("plane, means", math.sqrt(8), Law((1.0, 1.0), (0.7, 0.7)), Law((-1.0, -1.0), (0.7, 0.7)), PLANE, (128, 128)),
    Pair(
        "plane, spreads",
        1.2 * math.sqrt(math.pi / 2),
        Law((0.0, 0.0), (0.3, 0.3)),
        Law((0.0, 0.0), (1.5, 1.5)),
        PLANE,
        (128, 128),
    ),
)


def exact(pair: Pair) -> GridSolution:
    """The best critic, with its certified interval."""
    data, model = pair.data.masses(pair.cells), pair.model.masses(pair.cells)
    # The symmetric stencil: the interpolated critic is then 1-Lipschitz for certain.
    stencil = Stencil.FORWARD if pair.dims == 1 else Stencil.SYMMETRIC
    problem = GridW1.between(data, model, pair.cells.dx, low=pair.cells.low, stencil=stencil)
    return solve(problem, tol=1e-3, max_steps=20_000)


def trained(pair: Pair, updates: int, seed: int, *, clipped: bool) -> nn.Module:
    """A network in the critic's place."""
    rng = torch.Generator().manual_seed(seed)
    with seeded(rng):
        net = MlpCritic(widths=pair.widths, activation=Activation.RELU).build((pair.dims,), 1)
    adam = Adam(lr=1e-3, beta1=0.0, beta2=0.99 if clipped else 0.9, hold=0.5, end=0.05)
    player = adam.player("critic", net, CLIP if clipped else None)
    player.project()
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


@dataclass(frozen=True)
class Judged:
    """What a critic is worth: the W1 that it claims, its Lipschitz constant, and how straight it is."""

    claimed: float
    lipschitz: float
    straight: float

    @property
    def worth(self) -> float:
        """What it proves."""
        return self.claimed / self.lipschitz if self.lipschitz > 0 else 0.0


def judged(pair: Pair, critic: Callable[[Tensor], Tensor]) -> Judged:
    """By fresh samples, and by its slopes at the middles of the cells."""
    rng = torch.Generator().manual_seed(10_000)
    real, fake = pair.data.sample(SAMPLES, rng), pair.model.sample(SAMPLES, rng)
    with torch.no_grad():
        claimed = float(critic(real).mean() - critic(fake).mean())
    nodes = pair.nodes().requires_grad_()
    values = critic(nodes).flatten()
    (slopes,) = torch.autograd.grad(values.sum(), nodes)
    basis = torch.cat((torch.ones(len(nodes), 1), nodes.detach()), 1).double()
    target = values.detach().double()
    left = target - basis @ torch.linalg.lstsq(basis, target.unsqueeze(1)).solution[:, 0]
    total = float((target - target.mean()).square().sum())
    straight = 1 - float(left.square().sum()) / total if total > 0 else 1.0
    return Judged(claimed, float(slopes.norm(dim=1).max()), straight)


def shape(values: Tensor) -> Tensor:
    """As the paper draws critics: mean 0, and at most 0.1."""
    centred = values - values.mean()
    return centred / (10 * centred.abs().max().clamp(min=1e-12))


def draw_line(ax: plt.Axes, pair: Pair, curves: dict[str, Tensor]) -> None:
    """Densities and critics."""
    x = pair.nodes()[:, 0]
    for law, name in ((pair.data, "data"), (pair.model, "model")):
        ax.fill_between(x, law.masses(pair.cells) / pair.cells.dx, alpha=0.25, label=name)
    for name, values in curves.items():
        ax.plot(x, shape(values), label=name)
    ax.set(title=pair.title, xlim=(-6, 6))
    ax.legend(fontsize=7)


def main() -> None:
    """Print the table and draw the pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("experiments/sco/critic_study"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [pair for pair in PAIRS if pair.dims == 1]
    figure, axes = plt.subplots(1, len(lines), figsize=(5 * len(lines), 3.4), layout="constrained")
    planes = [pair for pair in PAIRS if pair.dims == 2]
    maps, grids = plt.subplots(len(planes), 3, figsize=(11, 3.6 * len(planes)), layout="constrained", squeeze=False)
    print("| pair | W1 | on the grid | critic | claims | Lipschitz constant | proves | of W1 | straight |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for pair in PAIRS:
        best = exact(pair)
        critics = {"clipping": True, "penalty": False}
        curves = {"best": best.critic.flatten().float()}
        interval = f"{float(best.value):.4f} in [{float(best.lower):.4f}, {float(best.upper):.4f}]"
        own = judged(pair, lambda x, best=best: best.critic_at(x).float())  # type: ignore[misc]
        about = f"{own.claimed:.4f} | {own.lipschitz:.3f} | | | {own.straight:.3f}"
        print(f"| {pair.title} | {pair.w1:.4f} | {interval} | best | {about} |")
        for name, clipped in critics.items():
            nets = [trained(pair, args.updates, seed, clipped=clipped) for seed in range(args.seeds)]
            found = [judged(pair, net) for net in nets]
            curves[name] = nets[0](pair.nodes()).detach().flatten()
            claimed, lipschitz, worth = (
                [getattr(one, key) for one in found] for key in ("claimed", "lipschitz", "worth")
            )
            share = f"{fmean(worth) / pair.w1:.0%}" if pair.w1 > 0 else "-"
            print(
                f"| {pair.title} | | | {name} | {fmean(claimed):.4f} ({min(claimed):.4f} to {max(claimed):.4f}) | "
                f"{fmean(lipschitz):.3f} | {fmean(worth):.4f} | {share} | {fmean(o.straight for o in found):.3f} |",
                flush=True,
            )
        if pair.dims == 1:
            draw_line(axes[lines.index(pair)], pair, curves)
            continue
        for ax, (name, values) in zip(grids[planes.index(pair)], curves.items(), strict=True):
            picture = shape(values).reshape(pair.cells.count, -1).T
            span = (pair.cells.low, pair.cells.high)
            ax.contourf(picture, levels=21, extent=(*span, *span), cmap="coolwarm", vmin=-0.1, vmax=0.1)
            ax.set(title=f"{pair.title}: {name}", aspect="equal")
    figure.savefig(args.out / "line.png", dpi=100)
    maps.savefig(args.out / "plane.png", dpi=100)
    print(f"\npictures in {args.out}")


if __name__ == "__main__":
    main()
