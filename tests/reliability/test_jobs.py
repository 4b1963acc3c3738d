"""A figure whose processes are killed, all at once, is finished by the same command with the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")]
WORDS = ["reproduce", "sco.fig3", "--scale", "smoke", "--seeds", "2", "--threads", "1", "--out", "out"]


def command(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    code = "import sys; from otgen.cli.main import main; sys.exit(main(sys.argv[1:]))"
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    words = (sys.executable, "-c", code, *WORDS, *words)
    with (folder / "said").open("ab") as out:
        return subprocess.Popen(words, cwd=folder, stdout=out, stderr=out, env=environment)


def offspring(pid: int) -> list[int]:
    """A process and all that it started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def numbers(folder: Path) -> Any:
    """What does not depend on time."""
    panels = json.loads((folder / "out" / "results.json").read_text())["panels"]
    return {
        name: [{"seed": r["seed"], "steps": r["steps"], "values": r["values"]} for r in panel["runs"]]
        for name, panel in panels.items()
    }


def test_a_figure_goes_on_after_all_its_processes_were_killed(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert command(straight).wait(600) == 0, (straight / "said").read_text()
    for saved in (1, 3):
        process = command(killed, "--jobs", "2")
        # Until so many checkpoints have been saved.
        while len(list(killed.glob("out/*/checkpoints/step_*/MANIFEST.json"))) < saved and process.poll() is None:
            os.sched_yield()
        for pid in offspring(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
    process = command(killed, "--jobs", "2")
    assert process.wait(600) == 0, (killed / "said").read_text()
    assert numbers(killed) == numbers(straight)
    assert not [path for path in killed.rglob(".*") if path.name.endswith((".tmp", ".lock"))]
