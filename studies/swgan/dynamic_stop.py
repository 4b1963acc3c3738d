"""Does it pay to stop the potentials' updates by their accuracy? A panel of a figure, with and without.

    python studies/swgan/dynamic_stop.py swgan.fig3 --panels swgan-d4 --most 20 --tol 0.6 --out FOLDER
    python studies/swgan/dynamic_stop.py swgan.fig1 --panels cosine-latent-sinkhorn --most 3 --tol 0.2 --out FOLDER

Both policies have the same budget, of steps or of seconds, as the figure has it; the tests of accuracy are in the
seconds. Prints a line a run: generator steps, updates of the potentials, seconds, and the quality that came of them.
What is done already is not done again, and two processes share the runs. Each run takes what its panel takes: a minute
for ``swgan.fig3``, some eight minutes for ``swgan.fig1``; there are two policies, and five seeds of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from otgen.cli.reproduce import edit_of
from otgen.methods import SWGAN
from otgen.ot import MarginalError, Steps, Stopping
from otgen.papers import Scale, find_figure
from otgen.runs import Plan, train_all
from otgen.train import RunConfig


@dataclass(frozen=True)
class Policy:
    """How many updates a generator step: at most ``most``, tested before the first and then every few."""

    most: int
    every: int
    until: Stopping

    def edit(self, config: RunConfig, common: Callable[[RunConfig], RunConfig]) -> RunConfig:
        """A panel's run with this policy, and with the changes that all runs have in common."""
        config = common(config)
        method = config.method
        assert isinstance(method, SWGAN)
        oracle = replace(method.oracle, most=self.most, until=self.until, check_every=self.every)
        return replace(config, method=replace(method, oracle=oracle))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure")
    parser.add_argument("--panels", nargs="+", required=True)
    parser.add_argument("--most", type=int, required=True, help="updates a generator step, at most or exactly")
    parser.add_argument("--every", type=int, help="updates between two tests; all by default")
    parser.add_argument("--tol", type=float, required=True, help="marginal error that ends them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scale", type=Scale, choices=Scale, default=Scale.CPU, help="smoke only shows that it runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="folder of the data, where the figure needs one")
    chosen = parser.parse_args()
    figure = find_figure(chosen.figure)
    every = chosen.most if chosen.every is None else chosen.every
    policies = {
        f"until-{chosen.tol:g}-most-{chosen.most}": Policy(chosen.most, every, MarginalError(chosen.tol)),
        f"fixed-{chosen.most}": Policy(chosen.most, every, Steps()),
    }
    # As the command does it: one thread, and the folder.
    common = edit_of(figure, 1, chosen.data)
    names = [measure.key for measure in figure.measures]
    print(f"| panel | updates | seed | steps | updates in all | seconds | {' | '.join(names)} |")
    print("|" + " --- |" * (6 + len(names)))
    for panel in chosen.panels:
        for name, policy in policies.items():
            plan = Plan(
                figure=figure,
                out=chosen.out / name,
                scale=chosen.scale,
                seeds=chosen.seeds,
                only=(panel,),
                edit=partial(policy.edit, common=common),
            )
            for (_, seed), found in train_all(plan).items():
                values = [f"{found.values.get(key, float('nan')):.4g}" for key in names]
                cells = (panel, name, seed, found.steps, found.critic_updates, f"{found.seconds:.0f}", *values)
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
