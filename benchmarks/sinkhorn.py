"""`make bench`: 100 Sinkhorn iterations against the peers, cost matrix included, all in one run."""

from __future__ import annotations

import argparse
import json
from importlib import metadata
from pathlib import Path

import torch

from benchmarks.peers import PEERS, Call, problem
from benchmarks.timing import interleaved
from otgen.train.rundir import environment

STEPS, DIMENSION, EPS = 100, 64, 0.1
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 256, 1000, 2000])
    parser.add_argument("--seconds", type=float, default=2.0, help="timing of each peer at each size")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its choice")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{STEPS} iterations, KL, d = {DIMENSION}, eps = {EPS}, float32, {torch.get_num_threads()} threads")
    print("medians in milliseconds (ours / theirs); compile time excluded, cost matrix included\n")
    rows = [measure(n, arguments.seconds) for n in arguments.sizes]
    record = {"rows": rows, "environment": environment(), "peers": _versions()}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "sinkhorn.json"
    file.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nKept in {file}")


def measure(n: int, seconds: float) -> dict[str, object]:
    x, y = problem(n, DIMENSION, seed=n)
    calls: dict[str, Call] = {}
    for name, make in PEERS.items():
        try:
            calls[name] = make(x, y, EPS, STEPS)
        except ImportError as error:
            print(f"n = {n}: {name} is left out: {error}")
    values = {name: call() for name, call in calls.items()}
    times = interleaved(calls, seconds=seconds)
    ours = times["otgen"]
    print(f"n = {n}")
    for name, value in values.items():
        ratio = "" if name == "otgen" else f"  ratio {ours / times[name]:5.2f}"
        off = abs(value - values["otgen"]) / abs(values["otgen"])
        print(f"  {name:<20} {times[name]:9.2f} ms{ratio:<14}  value {value:.5f} (off ours by {off:.0e})")
    return {"n": n, "milliseconds": times, "values": values}


def _versions() -> dict[str, str]:
    found = {}
    for package in ("POT", "geomloss", "ott-jax", "jax"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


if __name__ == "__main__":
    main()
