"""Help that needs no PyTorch is there at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cases.runs import Says

CODE = """
import contextlib, sys
from otgen.cli.main import main
for name in ("reproduce", "verify"):
    with contextlib.suppress(SystemExit):
        main([name, "--help"])
print("torch" in sys.modules)
"""


def test_the_help_of_figures_and_claims_imports_no_pytorch() -> None:
    shown = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert "--first-seed" in shown
    assert "keys, such as S7" in shown
    assert shown.splitlines()[-1] == "False"


def test_the_help_of_training_begins_with_what_most_people_came_for(succeeds: Says) -> None:
    for words in (("train", "--help"), ("train", "pixels", "--help")):
        lines = succeeds(*words).splitlines()
        assert [line.partition(":")[0] for line in lines[:3]] == ["Your pictures", "Your table", "Read next"]
        assert all(len(line) < 120 for line in lines[:3])
        assert lines[4].startswith("usage: otgen train")
        for page in lines[2].split():
            if page.strip(",;").endswith(".md"):
                assert (Path(__file__).parents[2] / page.strip(",;")).is_file()
