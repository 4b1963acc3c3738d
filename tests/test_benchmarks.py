"""The benchmarks that call the library's insides still run: a rename there is noticed by nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks import drop_in, readme, seqsgda, steps
from benchmarks.__main__ import TABLES
from benchmarks.report import Settings, Table

from cases.checks import refused
from cases.errors import raising
from otgen.errors import InputError

TINY = Settings(tiny=True, seconds=0.0)


# Those with peers load other libraries, where they are installed, and JAX compiles.
WITH_PEERS = ("sinkhorn", "gap", "divergence", "drop_in", "semi_discrete_step")
PEERS = [pytest.param(name, marks=[pytest.mark.slow, pytest.mark.filterwarnings("default")]) for name in WITH_PEERS]


# POT hands SciPy an option that SciPy is giving up.
@pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp` and `iprint` options:DeprecationWarning")
@pytest.mark.parametrize("name", ["quadratic", "semi_discrete", "grid", *PEERS])
def test_a_table(name: str) -> None:
    table = TABLES[name](TINY)
    assert table.name == name
    assert table.rows


def test_a_step_against_a_bare_loop() -> None:
    # Before it times them it compares the weights of both.
    assert {row[1] for row in steps.main(TINY).rows} >= {"SWGAN", "SWGANSinkhorn", "WGANGP", "SinkhornAutoDiff"}


def test_seqsgda_without_the_code_of_its_authors() -> None:
    # Two kinds of steps at two spreads, and a step of the generator.
    assert len(seqsgda.main(TINY).rows) == 5
    refused("is not there; --authors is a checkout", seqsgda.main, Settings(tiny=True, authors="/nowhere"))


def test_the_table_of_the_drop_in_in_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "README.md"
    page.write_text(readme.README.read_text(encoding="utf-8"), encoding="utf-8")
    assert readme.main(tmp_path, page) == 1
    assert "--only drop_in" in capsys.readouterr().err
    table = Table("drop_in", "", ("blur", "n", "library", "ms", "ours / theirs", "value error", "gradient error"))
    for library, ms in (("otgen", 4.83), ("GeomLoss", 1234.5)):
        table.add(0.05, 1000, library, ms, 1.0, 1.35e-5, 3.2e-12)
    table.save(tmp_path)
    for _ in range(2):
        assert readme.main(tmp_path, page) == 0
    head, _, lines = page.read_text(encoding="utf-8").partition(readme.BEGIN)
    assert lines.split(readme.END)[0].strip().splitlines() == [
        "| blur | n = m | otgen | GeomLoss |",
        "|---|---|---|---|",
        "| 0.05 | 1,000 | 4.8 ms, 1e-5 / 3e-12 | 1,230 ms, 1e-5 / 3e-12 |",
    ]
    assert readme.README.read_text(encoding="utf-8").startswith(head)


def test_the_readme_compares_the_drop_in_by_value_and_gradient() -> None:
    shown = readme.README.read_text(encoding="utf-8").partition(readme.BEGIN)[2].partition(readme.END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.strip().splitlines()]
    assert {(row[0], row[1]) for row in rows[2:]} == {(f"{b}", f"{n:,}") for b in drop_in.BLURS for n in drop_in.SIZES}
    assert rows[0][2:5] == [drop_in.OURS, drop_in.FIXED, "GeomLoss"]
    assert all(cell.count(" ms, ") == 1 for row in rows[2:] for cell in row[2:])


def _works(settings: Settings) -> Table:
    table = Table("works", "What was measured", ("n", "ms"))
    table.add(10, 1.5)
    return table


def test_a_table_that_fails_does_not_stop_the_next_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "TABLES", {"fails": raising(InputError("no such file")), "works": _works})
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert command.main() == 1
    assert "fails is left out: InputError: no such file" in capsys.readouterr().err
    assert json.loads((tmp_path / "works.json").read_text())["rows"] == [{"n": 10, "ms": 1.5}]
    assert "| 10 | 1.5 |" in (tmp_path / "works.md").read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["works.json", "works.md"]


def test_tiny_tables_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "TABLES", {"works": _works})
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--tiny"])
    assert command.main() == 0
    assert not list(tmp_path.iterdir())
