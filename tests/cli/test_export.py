"""`otgen export`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.runs import Call, Says


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


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("trained --out g.pt", "--out must end in .pt2 or .onnx, got 'g.pt'", 2),
        ("trained", "--out must be given", 2),
        ("trained --out nowhere/g.pt2", "nowhere is no directory", 1),
        ("nowhere --out g.pt2", "nowhere is no run directory", 1),
    ],
)
@pytest.mark.usefixtures("trained")
def test_what_cannot_be_exported(words: str, said: str, code: int, refused: Call) -> None:
    assert said in refused("export", *words.split(), code=code)
