"""The benchmarks that call the library's insides still run: a rename there is noticed by nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks import seqsgda, steps
from benchmarks.__main__ import TABLES
from benchmarks.report import Settings, Table

from cases.checks import refused
from cases.errors import raising
from otgen.errors import InputError

TINY = Settings(tiny=True, seconds=0.0)


# Those with peers load other libraries, where they are installed, and JAX compiles.
WITH_PEERS = ("sinkhorn", "gap", "divergence", "semi_discrete_step")
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
