"""The page on data runs as printed, and names every source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import otgen.data

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), {"__name__": "example"})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "torch.Size([128, 2]) (2,) None"
    assert printed[-1] == "torch.Size([5, 2])"


def test_the_table_names_every_source() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([A-Z]\w+)`", " ".join(row.split("|")[1] for row in rows)))
    bases = {"Source", "FiniteSource", "PixelSource", "HandwrittenDigits", "Mixture", "Split", "ValueRange"}
    bases |= {"Column", "ColumnKind", "RowCoder", "Scaling"}
    assert named == set(otgen.data.__all__) - bases - {
        "Classes",
        "LabelCode",
        "training_part",
        "fingerprint",
        "cifar10_at",
        "CIFAR10_CLASSES",
    }
