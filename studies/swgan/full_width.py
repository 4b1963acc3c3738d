"""What a generator step at scale paper costs: a step of each panel at full width, and of its critic, on noise.

    python studies/swgan/full_width.py
    python studies/swgan/full_width.py swgan.fig2/swgan-cosine swgan.fig4 --batch 150

Prints a line a panel: seconds of the step, with the features or the critic updated in it, and the largest memory of a
process that does nothing else. Batches of 10 unless told otherwise: at the paper's, a step on CIFAR-10 takes minutes of
one core. On one core all panels take some five minutes. With a GPU the seconds are its own, and the memory is the
host's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen.data import Source
from otgen.methods import Player
from otgen.papers import Figure, Scale, find_figure
from otgen.papers.swgan.settings_page import ALL
from otgen.train import RunConfig, RunDir, Trainer


@dataclass(frozen=True, kw_only=True)
class Noise(Source):
    """Samples of the shape and range of a data set that need not be here.

    Args:
        size: the shape of a sample.
        low: the least value.
        high: the largest.
    """

    size: tuple[int, ...]
    low: float
    high: float

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    @override
    def value_range(self) -> tuple[float, float]:
        return self.low, self.high

    @override
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.low + (self.high - self.low) * torch.rand(n, *self.size, generator=rng)


@dataclass(frozen=True)
class StepCost:
    """What a step took.

    Attributes:
        panel: figure and panel.
        batch: samples of each law.
        weights: of all networks.
        moved: updates of each of them.
        seconds: of the step.
        mebibytes: the most that the process had until then.
    """

    panel: str
    batch: int
    weights: int
    moved: dict[str, int]
    seconds: float
    mebibytes: float


def one_step(panel: str, config: RunConfig, batch: int | None = None) -> StepCost:
    """Take the first step of a run, and update its critic in it, on noise in place of images.

    Args:
        panel: its name, for the record.
        config: of the run.
        batch: samples of each law; None for the configuration's.

    Raises:
        NumericalError: a loss or a gradient is not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(_prepared(config, batch), RunDir(Path(folder)))
        moved: dict[str, int] = {}
        weights: dict[str, int] = {}
        update = trainer.update

        def counted(player: Player, loss: Tensor) -> None:
            update(player, loss)
            moved[player.name] = moved.get(player.name, 0) + 1
            weights[player.name] = sum(weight.numel() for weight in player.weights)

        method, state = trainer.config.method, trainer.state.method
        start = time.perf_counter()
        method.step(state, trainer.batches, counted)
        seconds = time.perf_counter() - start
    # Kibibytes on Linux, bytes on macOS.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    used: Any = method
    return StepCost(panel, used.batch, sum(weights.values()), moved, seconds, most)


def _prepared(config: RunConfig, batch: int | None) -> RunConfig:
    """On noise where the data are images; features and critics are updated in every step."""
    method: Any = config.method
    has = {field.name for field in fields(method)}
    if batch is not None:
        method = replace(method, batch=batch, **({"support": max(2, batch)} if "support" in has else {}))
    if "critic_every" in has:
        method = replace(method, critic_every=1)
    if getattr(method, "features", None) and hasattr(method.features, "every"):
        method = replace(method, features=replace(method.features, every=1))
    ranged = config.data.value_range
    if ranged is None:
        return replace(config, method=method)
    size = (3, 32, 32) if "Cifar" in type(config.generator).__name__ else (1, 28, 28)
    return replace(config, method=method, data=Noise(size=size, low=ranged[0], high=ranged[1]))


def panels(names: list[str]) -> Iterator[tuple[Figure, str]]:
    """The panels that the words name, ``FIGURE`` or ``FIGURE/PANEL``; those of the paper's figures for none."""
    for name in names or [figure.figure.name for figure in ALL]:
        whole, _, one = name.partition("/")
        figure = find_figure(whole)
        yield from ((figure, panel.name) for panel in figure.panels if one in ("", panel.name))


def main() -> None:
    """A process a panel, so that each has its own memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs="*", help="FIGURE or FIGURE/PANEL; all by default")
    parser.add_argument("--batch", type=int, default=10, help="samples of each law; 0 for the paper's")
    parser.add_argument("--one", action="store_true", help="measure one panel in this process, and print a record")
    asked = parser.parse_args()
    if asked.one:
        ((figure, name),) = panels(asked.panels)
        config = figure.panel(name).build(Scale.PAPER)
        print(json.dumps(asdict(one_step(f"{figure.name}/{name}", config, asked.batch or None))))
        return
    print("| panel | batch | weights | updates | seconds | MiB |\n| --- | --- | --- | --- | --- | --- |")
    for figure, name in panels(asked.panels):
        words = [sys.executable, __file__, f"{figure.name}/{name}", "--batch", str(asked.batch), "--one"]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        cost = StepCost(**json.loads(done.stdout.splitlines()[-1]))
        moved = ", ".join(f"{count} {player}" for player, count in cost.moved.items())
        print(
            f"| {cost.panel} | {cost.batch} | {cost.weights:,} | {moved} | {cost.seconds:.2f} | {cost.mebibytes:,.0f} |"
        )


if __name__ == "__main__":
    main()
