"""Former names: in configurations, in files and on the command line. The tables are the tests' own."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cases.checks import refused
from cases.runs import edit_config
from otgen import ot, papers, peers, renamed
from otgen.cli.main import main
from otgen.errors import RenamedWarning
from otgen.methods import SCO, PixelSinkhorn
from otgen.ot import GridPDHG, Sinkhorn
from otgen.papers import Scale
from otgen.renamed import updated, updated_words
from otgen.train import RunConfig, RunDir
from otgen.train.config import plain
from otgen.train.config_files import load


@pytest.fixture(autouse=True)
def _tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if these had been renamed: an option of two solvers, two classes, a policy that is a component now."""
    solvers = {"GridPDHG": {"over": "relaxation"}, "Solver": {"faster": "anneal", "tau": "wrong"}}
    names = {"otgen.ot": {"Sinkhron": "Sinkhorn"}, "otgen.methods": {"Pixels": "PixelSinkhorn"}}
    monkeypatch.setattr(renamed, "OPTIONS", solvers | {"KL": {"weight": "eps"}})
    monkeypatch.setattr(renamed, "NAMES", names)
    monkeypatch.setattr(renamed, "VALUES", {"reg": {"entropy": "otgen.ot.KL", "none": "otgen.ot.NoReg"}})


FORMER = {"crosscheck": peers.compare, "recipes": papers.find_figure, "claims": papers.all_theorems}


@pytest.mark.parametrize("name", FORMER)
def test_a_package_can_be_imported_by_its_former_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It warns when it is first imported.
    monkeypatch.delitem(sys.modules, f"otgen.{name}", raising=False)
    now = "peers" if name == "crosscheck" else "papers"
    with pytest.warns(RenamedWarning, match=rf"otgen\.{name} is now otgen\.{now}"):
        package = importlib.import_module(f"otgen.{name}")
    assert getattr(package, FORMER[name].__name__) is FORMER[name]


def test_a_solution_is_read_by_the_former_name_too() -> None:
    solution = ot.solve(ot.Discrete(torch.zeros(2, 1), torch.ones(2, 1), reg=ot.KL(eps=1.0)))
    with pytest.warns(RenamedWarning, match="value_of"):
        assert solution.read(ot.ValueKind.LINEAR) == solution.value_of(ot.ValueKind.LINEAR)


def component(path: str, **options: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": options}


def quietly(config: Any, base: Any = None) -> Any:
    """Brought up to date, where nothing is former."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return updated(config, base)


@pytest.mark.parametrize(
    ("config", "today"),
    [
        *((component(f"{package}Sinkhron"), component(f"{package}Sinkhorn")) for package in ("otgen.ot.", "")),
        (component("otgen.ot.GridPDHG", over=1.5, tau=2.0), component("otgen.ot.GridPDHG", relaxation=1.5, tau=2.0)),
        (component("GridPDHG", over=1.5), component("GridPDHG", relaxation=1.5)),
        (component("otgen.ot.Sinkhorn", faster=0.7), component("otgen.ot.Sinkhorn", anneal=0.7)),  # inherited
        (component("otgen.ot.Sinkhron", faster=0.7), component("otgen.ot.Sinkhorn", anneal=0.7)),  # both
        (
            {"method": component("Pixels", solver=component("Sinkhron", faster=0.7), batch=3), "steps": 5},
            {"method": component("PixelSinkhorn", solver=component("Sinkhorn", anneal=0.7), batch=3), "steps": 5},
        ),
        # Of the class's own default.
        (component("PixelSinkhorn", reg={"weight": 2.0}), component("PixelSinkhorn", reg={"eps": 2.0})),
        ({"solver": "otgen.ot.Sinkhron"}, {"solver": "otgen.ot.Sinkhorn"}),
        (component("PixelSinkhorn", reg="entropy"), component("PixelSinkhorn", reg="otgen.ot.KL")),
        ([component("Sinkhron")], [component("Sinkhorn")]),
    ],
    ids=str,
)
def test_a_configuration_is_brought_up_to_date_with_one_warning(config: Any, today: Any) -> None:
    with pytest.warns(RenamedWarning, match="former names go with the next release") as caught:
        assert updated(config) == today
    assert [warning.filename for warning in caught] == [__file__]
    assert quietly(today) == today


SOLVED = "otgen.methods.SCO"


@pytest.mark.parametrize(
    ("method", "today"),
    [
        ({"solver": {"over": 1.5}}, {"solver": {"relaxation": 1.5}}),
        ({"init_args": {"solver": {"over": 1.5}}}, {"init_args": {"solver": {"relaxation": 1.5}}}),
        (component(SOLVED, solver={"over": 1.5}), component(SOLVED, solver={"relaxation": 1.5})),
        ("Pixels", "PixelSinkhorn"),
    ],
    ids=str,
)
def test_options_without_their_class_are_those_of_the_base(method: Any, today: Any) -> None:
    base = RunConfig(method=SCO(solver=GridPDHG()), steps=1)
    with pytest.warns(RenamedWarning):
        assert updated({"method": method}, base) == {"method": today}


@pytest.mark.parametrize(
    "config",
    [
        *(None, 3, "just text", "otgen.ot.Unknown"),
        {"over": 1.5},  # of no class
        {"data": {"path": "Sinkhron"}},  # text
        component("otgen.ot.Newton", over=1.5),  # another class's
        component("otgen.ot.Nothing", over=1.5),
        component("nowhere.to.be.Found", over=1.5),
        component("otgen.ot.GridPDHG", tau=2.0),  # which it has, whatever it inherits
        {"class_path": ["odd"], "init_args": 3},
        plain(RunConfig(steps=1)),
    ],
    ids=str,
)
def test_what_is_not_former_stays_as_it_is(config: Any) -> None:
    assert quietly(config) == config
    assert quietly(config, RunConfig(steps=1)) == config


def test_a_class_of_ones_own_has_the_former_options_that_it_inherits() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Own(GridPDHG):
        """A solver of one's own."""

    @dataclass(frozen=True, kw_only=True)
    class Other(GridPDHG):
        """It has an option of that name."""

        over: float = 1.0

    with pytest.warns(RenamedWarning, match="over of Own is now relaxation"):
        assert updated({"over": 1.5}, Own()) == {"relaxation": 1.5}
    assert quietly({"over": 1.5}, Other()) == {"over": 1.5}


@pytest.mark.parametrize(
    ("words", "today"),
    [
        (["--method.solver.over=1.5", "--seed", "3"], ["--method.solver.relaxation=1.5", "--seed", "3"]),
        (["--method.solver.over", "1.5"], ["--method.solver.relaxation", "1.5"]),
        (["--method.reg", "none", "--resume"], ["--method.reg", "otgen.ot.NoReg", "--resume"]),
        (["--method.reg=none"], ["--method.reg=otgen.ot.NoReg"]),
        (["digits", "--method.solver", "otgen.ot.Sinkhron"], ["digits", "--method.solver", "otgen.ot.Sinkhorn"]),
    ],
    ids=str,
)
def test_words_are_brought_up_to_date(words: list[str], today: list[str]) -> None:
    current, notes = updated_words(words)
    assert (current, len(notes)) == (today, 1)
    assert updated_words(today) == (today, [])


@pytest.mark.parametrize("words", [[], ["Sinkhron"], ["--out", "none"], ["--over", "3"], ["-x", "--a=b=c"]], ids=str)
def test_other_words_stay(words: list[str]) -> None:
    assert updated_words(words) == (words, [])


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], RunConfig]:
    """Read a configuration of these words, with one warning."""

    def ask(text: str) -> RunConfig:
        (tmp_path / "config.yaml").write_text(text)
        with pytest.warns(RenamedWarning) as caught:
            found = load(tmp_path / "config.yaml")
        assert len(caught) == 1
        return found

    return ask


def test_an_earlier_runs_configuration_is_read_with_one_warning(read: Callable[[str], RunConfig]) -> None:
    config = RunConfig(steps=1, method=PixelSinkhorn(batch=7))
    kept = plain(config)
    changed = {"reg": "entropy", "solver": component("otgen.ot.Sinkhron", faster=0.7)}
    kept["method"] = component("otgen.methods.Pixels", **kept["method"]["init_args"] | changed)
    method = replace(config.method, reg=ot.KL(), solver=Sinkhorn(anneal=0.7))
    assert read(yaml.safe_dump(kept)) == replace(config, method=method)


def test_another_method_than_the_defaults_is_told_once_too(read: Callable[[str], RunConfig]) -> None:
    built = papers.find_figure("sco.fig3").panels[0].build(Scale.SMOKE)
    config = replace(built, method=replace(built.method, solver=GridPDHG(relaxation=1.5)))
    text = yaml.safe_dump(plain(config))
    assert "relaxation: " in text
    assert read(text.replace("relaxation: ", "over: ")) == config


def test_numbers_and_text_of_a_former_configuration_stay_what_they_are(read: Callable[[str], RunConfig]) -> None:
    data = "{class_path: Arrays, init_args: {path: '1e3', key: '12', scale: 1e-3}}"
    found: Any = read(f"steps: 1\ndata: {data}\nmethod: Pixels\n").data
    assert (found.path, found.key, found.scale) == ("1e3", "12", 1e-3)


Printed = Callable[..., dict[str, Any]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """The method that `otgen train` would train with, after exactly one warning."""
    monkeypatch.chdir(tmp_path)

    def ask(*words: str) -> dict[str, Any]:
        with pytest.warns(RenamedWarning) as caught:
            code = main(["train", *words, "--print_config"])
        shown = capsys.readouterr()
        assert (code, shown.err, len(caught)) == (0, "", 1)
        return dict(yaml.safe_load(shown.out)["method"]["init_args"])

    return ask


@pytest.mark.parametrize("words", [["--method.solver.over=1.5"], ["--method.solver.over", "1.5"]], ids=str)
def test_a_former_option_on_the_command_line(words: list[str], printed: Printed) -> None:
    assert printed("sco.fig3", "--method.solver", "GridPDHG", *words)["solver"]["init_args"]["relaxation"] == 1.5


def test_a_former_value_on_the_command_line_gives_a_component(printed: Printed) -> None:
    options = printed("toy.gaussians25", "--method.reg", "none", "--method.solver", "null")
    assert options["reg"]["class_path"] == "otgen.ot.NoReg"


@pytest.mark.parametrize(
    "method", [{"init_args": {"reg": "none", "solver": None}}, component("otgen.methods.Pixels", solver=None)], ids=str
)
def test_former_names_in_a_file_of_options(method: Any, printed: Printed) -> None:
    Path("options.yaml").write_text(yaml.safe_dump({"method": method}))
    assert printed("toy.gaussians25", "--config", "options.yaml", "--method.batch", "9")["batch"] == 9


def test_a_mistake_beside_a_former_name_is_still_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(RenamedWarning):
        assert main(["train", "pixels", "--method.solver.faster", "0.5", "--stpes", "3"]) == 2
    assert "did you mean '--steps'?" in capsys.readouterr().err


def test_a_run_is_opened_with_the_names_of_its_time(tmp_path: Path) -> None:
    config = RunConfig(steps=1)
    run = RunDir.create(tmp_path / "run", config)
    edit_config(run.path, "otgen.methods.PixelSinkhorn", "otgen.methods.Pixels")
    with pytest.warns(RenamedWarning, match=r"otgen\.methods\.Pixels is now otgen\.methods\.PixelSinkhorn"):
        assert RunDir.open(run.path).load_config() == config
    run.config.write_text(run.config.read_text().replace("otgen.methods.Pixels", "otgen.methods.Pixles"))
    refused("is no configuration of a run", RunDir.open(run.path).load_config)
