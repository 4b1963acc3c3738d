"""Houdard et al. 2021: the transport cost, without regularisation, that the generators of runs have reached.

    python studies/semidiscrete/cost.py RUN [RUN ...] [--samples 2000]

The exact transport cost, squared distance of pixels, between samples of each run's generator and all points of its data
set, by a linear program, in its certified interval. Prints a line a run; 2,000 samples and 5,000 digits take about a
minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from otgen.data import FiniteSource
from otgen.errors import InputError
from otgen.ot import Discrete, Exact, NoReg, SqEuclidean, solve
from otgen.runs import sample_run
from otgen.train import RunDir


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=2000)
    args = parser.parse_args()
    for path in args.runs:
        run = RunDir.open(path)
        config = run.load_config()
        if not isinstance(config.data, FiniteSource):
            raise InputError(f"{path} was not trained on a data set")
        samples, _ = sample_run(run, args.samples, seed=0)
        x, y = samples.flatten(1).double(), config.data.support().flatten(1).double()
        solution = solve(Discrete(x, y, cost=SqEuclidean(), reg=NoReg()), Exact())
        print(f"{path.name}: {solution!r}", flush=True)


if __name__ == "__main__":
    main()
