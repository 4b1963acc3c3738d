"""Houdard et al. 2021, Figure 1: one point descends the cost of two atoms, with and without regularisation.

    python studies/semidiscrete/oscillation.py [--out FOLDER]

Prints how far each run is from its closed form, and draws the runs: with the best psi at every step (where without
regularisation both atoms tie, in turn), and with the psi that the paper's averaged stochastic ascent finds. It takes
seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor

from otgen.ot import AveragedSGD
from otgen.papers import TwoAtoms

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

# The paper does not say where it starts.
START = torch.tensor([0.7, 0.1], dtype=torch.float64)
MIDDLE = torch.tensor([0.0, 0.5], dtype=torch.float64)
STEPS, UPDATES = 60, 200


def closed_form(eps: float) -> Tensor:
    """theta of every step at the paper's tau: contraction by 0.8, or towards the atoms in turn."""
    path = [START]
    for step in range(STEPS):
        goal = MIDDLE if eps > 0 else torch.tensor([0.0, float(step % 2)], dtype=torch.float64)
        path.append(0.8 * path[-1] + 0.2 * goal)
    return torch.stack(path)


def main() -> None:
    """Print the errors and draw the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=(1, 1.6))
    for eps, colour in ((0.1, "tab:blue"), (0.0, "tab:red")):
        game = TwoAtoms(eps=eps)
        exact = game.exact(START, STEPS)
        learnt = game.learnt(START, STEPS, AveragedSGD(batch=1), UPDATES)
        error = float((exact - closed_form(eps)).abs().max())
        ends = ", ".join(f"{value:.10f}" for value in exact[-2:, 1].tolist())
        late = learnt[STEPS // 2 :, 1]
        print(
            f"eps = {eps:g}: {error:.1e} from the closed form; last two second coordinates {ends}; with a learnt psi "
            f"they lie between {float(late.min()):.4f} and {float(late.max()):.4f} in the second half"
        )
        axes[0].plot(*exact.T.tolist(), "o-", ms=3, lw=1, color=colour, label=f"eps = {eps:g}")
        axes[1].plot(exact[:, 1].tolist(), color=colour, label=f"eps = {eps:g}, the best psi")
        axes[1].plot(learnt[:, 1].tolist(), ":", color=colour, label=f"eps = {eps:g}, psi of averaged ascent")
    axes[0].plot([0, 0], [0, 1], "k^", ms=8, label="atoms")
    axes[0].set(title="theta", xlabel="first coordinate", ylabel="second coordinate", xlim=(-0.1, 0.8))
    axes[1].axhline(0.5, color="grey", lw=0.8)
    axes[1].set(title="second coordinate of theta; 0.5 is the best", xlabel="step")
    for ax in axes:
        ax.legend(fontsize=8)
    figure.savefig(out / "oscillation.png", dpi=110)
    print(out / "oscillation.png")


if __name__ == "__main__":
    main()
