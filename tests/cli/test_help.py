"""Help that needs no PyTorch is there at once."""

from __future__ import annotations

import subprocess
import sys

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
