"""Does the dynamic stop pay? 25 Gaussians for equal training time, the potentials' updates stopped or counted.

    python experiments/swgan/dynamic_stop.py --seeds 5 --seconds 60

Prints a line a run: generator steps, updates of the potentials, and the quality that came of them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from otgen.methods import SWGAN
from otgen.ot import MarginalError, Steps, Until
from otgen.recipes import Scale
from otgen.recipes.swgan import swgan_fig3, swgan_fig3_d2
from otgen.train import Duration, RunConfig, RunDir, Trainer, evaluate

# At most so many updates a generator step, until the potentials are so accurate: tested before the first update, and
# then every five. A marginal error of 0.6 is about what sampling alone leaves on a support of 256 points.
POLICIES: dict[str, tuple[int, Until]] = {
    "fixed 3": (3, Steps()),
    "until 0.6, at most 3": (3, MarginalError(0.6)),
    "fixed 20": (20, Steps()),
    "until 0.6, at most 20": (20, MarginalError(0.6)),
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, choices=[2, 4], default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", nargs="*", choices=list(POLICIES), default=list(POLICIES))
    chosen = parser.parse_args()
    print("| d | updates | seed | steps | updates in all | seconds | modes | in 3 std | least mode | largest mode |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for name in chosen.only:
            _run(name, chosen.dim, seed, chosen.seconds)


def _run(name: str, dim: int, seed: int, seconds: float) -> None:
    config: RunConfig = (swgan_fig3 if dim == 4 else swgan_fig3_d2)(Scale.CPU)
    method = config.method
    assert isinstance(method, SWGAN)
    most, until = POLICIES[name]
    oracle = replace(method.oracle, most=most, until=until, check_every=min(most, 5))
    config = replace(
        config,
        method=replace(method, oracle=oracle),
        seed=seed,
        budget=Duration(seconds),
        trainer=replace(config.trainer, threads=1),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, RunDir(Path(folder) / "run"))
        trainer.train()
    state = trainer.state
    found = evaluate(state.ema, config.latent, config.data, 20_000, seed).values
    cells = (
        dim,
        name,
        seed,
        state.step,
        state.critic_updates,
        f"{state.elapsed:.0f}",
        int(found["modes_found"]),
        f"{found['modes_high_quality']:.3f}",
        f"{found['modes_share_min']:.2f}",
        f"{found['modes_share_max']:.2f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
