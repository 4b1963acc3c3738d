"""`otgen export`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from otgen.cli.config_parser import Parser
from otgen.cli.printable import printable
from otgen.cli.sample_forms import made_folder
from otgen.cli.usage import UsageError, add_plugins
from otgen.errors import InputError


def run(arguments: Sequence[str]) -> int:
    """Write a run's generator as a file that needs no otgen."""
    parser = Parser(
        prog="otgen export",
        description="Write a run's generator as a program of its own, from latent codes to samples: torch.export.load "
        "reads a .pt2, any runtime of ONNX an .onnx. Beside it stands a JSON file that says what the codes are, and "
        "of a table another one that says how samples become its columns.",
    )
    parser.add_argument("run", type=str, help="the run directory")
    parser.add_argument("--out", type=str, required=True, help="generator.pt2 or generator.onnx")
    parser.add_argument("--raw", action="store_true", help="the weights themselves, not their moving average")
    parser.add_argument("--force", action="store_true", help="overwrite --out, and the JSON files beside it")
    add_plugins(parser)
    parsed = parser.parse_args(arguments)
    path = Path(parsed.out)
    if path.suffix.lower() not in (".pt2", ".onnx"):
        raise UsageError(f"--out must end in .pt2 or .onnx, got {path.name!r}")
    from otgen.runs import export_run
    from otgen.runs.export import about_path, table_path
    from otgen.train import RunDir

    for file in (path, about_path(path), table_path(path)):
        if os.path.lexists(file) and not parsed.force:
            raise InputError(f"{file} exists; choose another --out, or overwrite it with --force")

    with made_folder(path.parent):
        about = export_run(RunDir.open(Path(parsed.run)), path, raw=parsed.raw)
    print(printable(path))
    print(f"{printable(about)} (the law of the codes, shapes, range)")
    if "table" in json.loads(about.read_text(encoding="utf-8")):
        said = "how samples become the columns of the table; in docs/data.md, Rows without otgen, the lines that do it"
        print(f"{printable(table_path(path))} ({said})")
    return 0
