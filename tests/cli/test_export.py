"""`otgen export`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.runs import Call, Says
from otgen.data import Table


def test_a_generator_is_exported_and_nothing_is_overwritten(
    trained: Path, succeeds: Says, refused: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The exporter itself is tested where it is.
    monkeypatch.setattr("otgen.runs.export._torch_program", lambda module, codes: b"program")
    out = succeeds("export", trained, "--out", "g.pt2")
    assert out == "g.pt2\ng.pt2.json (the law of the codes, shapes, range)\n"
    assert Path("g.pt2").read_bytes() == b"program"
    assert "g.pt2 exists; choose another --out" in refused("export", trained, "--out", "g.pt2", code=1)
    Path("g.pt2").unlink()
    assert "g.pt2.json exists" in refused("export", trained, "--out", "g.pt2", code=1)
    succeeds("export", trained, "--out", "g.pt2", "--force", "--raw")


def test_of_a_table_it_says_how_samples_become_columns(
    trained: Path, succeeds: Says, refused: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder = Table(columns=("temperature", "wind")).coder
    monkeypatch.setattr("otgen.runs.export._torch_program", lambda module, codes: b"program")
    monkeypatch.setattr("otgen.runs.export.load_coder", lambda run: coder)
    out = succeeds("export", trained, "--out", "g.pt2").splitlines()
    assert out[2] == (
        "g.pt2.table.json (how samples become the columns of the table; in docs/data.md, Rows without otgen, the lines "
        "that do it)"
    )
    Path("g.pt2").unlink()
    Path("g.pt2.json").unlink()
    assert "g.pt2.table.json exists" in refused("export", trained, "--out", "g.pt2", code=1)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("trained --out g.pt", "--out must end in .pt2 or .onnx, got 'g.pt'", 2),
        ("trained", "--out must be given", 2),
        ("trained --out trained/env.json/g.pt2", "trained/env.json cannot be made: ", 1),
        ("nowhere --out g.pt2", "nowhere is no run directory", 1),
    ],
)
@pytest.mark.usefixtures("trained")
def test_what_cannot_be_exported(words: str, said: str, code: int, refused: Call) -> None:
    assert said in refused("export", *words.split(), code=code)
