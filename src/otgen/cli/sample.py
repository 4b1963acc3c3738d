"""`otgen sample`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otgen import files
from otgen.cli.config_parser import Parser
from otgen.cli.printable import printable
from otgen.cli.usage import UsageError, add_plugins
from otgen.errors import InputError


def run(arguments: Sequence[str]) -> int:
    """Draw samples from a run's newest checkpoint."""
    parser = Parser(prog="otgen sample", description="Draw samples. Needs the run directory only, not the data.")
    parser.add_argument("run", type=str, help="the run directory")
    parser.add_argument("--n", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the latent codes")
    parser.add_argument("--out", type=str, required=True, help="grid.png, or samples.npz with the key 'samples'")
    parser.add_argument("--raw", action="store_true", help="the weights themselves, not their moving average")
    parser.add_argument("--force", action="store_true", help="overwrite --out")
    add_plugins(parser)
    parsed = parser.parse_args(arguments)
    path = Path(parsed.out)
    if path.suffix not in (".png", ".npz"):
        raise UsageError(f"--out must end in .png or .npz, got {path.name!r}")
    if parsed.n < 1 or parsed.seed < 0:
        raise UsageError(f"--n must be at least 1 and --seed not negative, got {parsed.n} and {parsed.seed}")
    if path.exists() and not parsed.force:
        raise InputError(f"{path} exists; choose another --out, or overwrite it with --force")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no directory; create it first")
    from otgen.runs import sample_run
    from otgen.train import RunDir

    samples, span = sample_run(RunDir.open(Path(parsed.run)), parsed.n, parsed.seed, raw=parsed.raw)
    if path.suffix == ".png":
        from otgen.train.pictures import save_picture

        if not save_picture(samples, path, value_range=span):
            raise UsageError(f"samples of shape {tuple(samples.shape[1:])} make no picture; write them to a .npz")
    else:
        import numpy as np

        with files.whole(path) as file:
            np.savez(file, samples=samples.numpy())
    print(printable(path))
    return 0
