from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases.checks import refused
from cases.errors import input_error
from cases.kinds import kind
from otgen import papers
from otgen.cli.main import main
from otgen.papers import Recipe, Scale
from otgen.train import RunConfig, RunDir, checkpoint

ALL = papers.names()
# The main panels of figures are trained with the other panels; one of them also by its name on the command line.
FIGURES = {figure.name for figure in papers.all_figures()} - {"sco.fig5"}
OWN = [recipe for recipe in ALL if recipe.name not in FIGURES]


@pytest.mark.parametrize("recipe", OWN, ids=lambda r: r.name)
def test_a_recipe_runs_at_smoke_scale(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", recipe.name, "--scale", "smoke", "--out", str(out), "--trainer.threads", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    run = RunDir.open(out)
    steps = recipe.build(Scale.SMOKE).steps
    assert checkpoint.newest(run.checkpoints).name == f"step_{steps:08d}"
    (line,) = run.read_metrics()
    assert line["step"] == steps
    if "lower" in line:
        assert line["lower"] - 1e-3 <= line["loss"] <= line["upper"] + 1e-3
    if recipe.name == "table":
        # Symmetric steps, of which its self terms have no need, leave ten times as much open.
        assert line["upper"] - line["lower"] <= 0.003 * line["loss"]
    values = json.loads((out / "eval" / f"step_{steps:08d}.json").read_text())
    assert None not in values.values()
    shape = checkpoint.read_shapes(checkpoint.newest(run.checkpoints)).shape
    # Points of more than two dimensions have no picture.
    pictures = [out / f"samples/step_{steps:08d}.png"] if len(shape) > 1 or shape[0] <= 2 else []
    for named in (*pictures, out / f"eval/step_{steps:08d}.json"):
        assert named.is_file()
        assert str(named) in shown.out


BUILDS = {recipe.name: recipe.build for recipe in ALL}
BUILDS |= {f"{figure.name}.{panel.name}": panel.build for figure in papers.all_figures() for panel in figure.panels}


@pytest.mark.parametrize("name", BUILDS)
def test_scales_differ_in_cost_and_not_in_kind(name: str) -> None:
    configs = {scale: BUILDS[name](scale) for scale in Scale}
    assert len({kind(c) for c in configs.values()}) == 1
    assert {c.seed for c in configs.values()} == {0}
    assert (configs[Scale.SMOKE].steps or 1000) <= 50
    assert configs[Scale.CPU] != configs[Scale.SMOKE]


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_a_recipe_says_what_it_is(recipe: Recipe) -> None:
    assert isinstance(recipe.build(Scale.PAPER), RunConfig)
    assert all((recipe.summary, recipe.build.__doc__))


def test_the_cpu_scale_of_the_default_recipe_takes_minutes() -> None:
    assert 60 <= (papers.digits().budget or 0) <= 600


def test_recipes_are_found_and_sorted() -> None:
    assert [r.name for r in ALL] == sorted(r.name for r in ALL)
    assert papers.find("digits") in ALL


@pytest.mark.parametrize(("typed", "meant"), [("digit", "digits"), ("toy.gaussian25", "toy.gaussians25")])
def test_a_mistyped_recipe_is_guessed(typed: str, meant: str) -> None:
    refused(rf"there is no recipe '{typed}'; did you mean '{meant}'\? the recipes are ", papers.find, typed)


def test_an_unknown_recipe_lists_all() -> None:
    said = input_error(None, papers.find, "quux")
    assert "did you mean" not in said
    assert all(r.name in said for r in ALL)
