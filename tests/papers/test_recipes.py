from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cases.images import write_cifar, write_photographs
from cases.kinds import kind
from otgen import recipes
from otgen.cli.main import main
from otgen.data import Cifar10, ImageFolder
from otgen.errors import InputError, RenamedWarning
from otgen.methods import SemiDiscreteGAN
from otgen.recipes import Recipe, Scale
from otgen.train import RunConfig, RunDir, checkpoint

ALL = recipes.names()


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """These problems are tiny: on a busy machine a second thread costs seconds of waiting and gains nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Powers above 2, which a paper takes.
@pytest.mark.filterwarnings("ignore::otgen.errors.NegativeDivergenceWarning")
@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_a_recipe_runs_at_smoke_scale(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = ["train", recipe.name, "--scale", "smoke", "--out", str(out), "--trainer.threads", "1"]
    if isinstance(recipe.build(Scale.SMOKE).data, Cifar10):
        words += ["--data.folder", str(write_cifar(tmp_path / "data"))]
    if isinstance(recipe.build(Scale.SMOKE).data, ImageFolder):
        words += ["--data.folder", str(write_photographs(tmp_path / "data"))]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    run = RunDir.open(out)
    steps = recipe.build(Scale.SMOKE).steps
    assert checkpoint.newest(run.checkpoints).name == f"step_{steps:08d}"
    (line,) = run.read_metrics()
    assert line["step"] == steps
    # Of a semi-discrete value only samples speak.
    if not isinstance(recipe.build(Scale.SMOKE).method, SemiDiscreteGAN):
        assert line["lower"] - 1e-3 <= line["loss"] <= line["upper"] + 1e-3
    values = json.loads((out / "eval" / f"step_{steps:08d}.json").read_text())
    assert None not in values.values()
    for named in (out / "samples" / f"step_{steps:08d}.png", out / "eval" / f"step_{steps:08d}.json"):
        assert named.is_file()
        assert str(named) in shown.out


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_scales_differ_in_cost_and_not_in_kind(recipe: Recipe) -> None:
    configs = {scale: recipe.build(scale) for scale in Scale}
    assert len({kind(c) for c in configs.values()}) == 1
    smoke = configs[Scale.SMOKE]
    assert smoke.steps is not None
    assert smoke.steps <= 50
    assert configs[Scale.CPU] != smoke


@pytest.mark.parametrize("recipe", ALL, ids=lambda r: r.name)
def test_a_recipe_is_a_function_of_the_package(recipe: Recipe) -> None:
    short, long = recipe.name.rpartition(".")[2], recipe.name.replace(".", "_")
    function = getattr(recipes, short, None) or getattr(recipes, long, None)
    if function is None:
        # A figure's: the main panel of a constant.
        figure = getattr(recipes, long.upper())
        assert figure.panel(figure.main).build is recipe.build
        return
    assert function() == recipe.build(Scale.CPU)
    assert isinstance(function(Scale.PAPER), RunConfig)
    assert recipe.summary
    assert function.__doc__


def test_the_cpu_scale_of_the_default_recipe_takes_minutes() -> None:
    budget = recipes.digits().budget
    assert budget is not None
    assert 60 <= budget <= 600


def test_recipes_are_found_and_sorted() -> None:
    assert [r.name for r in ALL] == sorted(r.name for r in ALL)
    assert recipes.find("digits") in ALL


@pytest.mark.parametrize(("typed", "meant"), [("digit", "digits"), ("toy.gaussian25", "toy.gaussians25")])
def test_a_mistyped_recipe_is_guessed(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=rf"there is no recipe '{typed}'; did you mean '{meant}'\? the recipes are "):
        recipes.find(typed)


def test_an_unknown_recipe_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        recipes.find("quux")
    assert "did you mean" not in str(caught.value)
    assert all(r.name in str(caught.value) for r in ALL)


def test_a_former_name_works_with_a_warning() -> None:
    with pytest.warns(RenamedWarning, match="otgen.recipes.Status is now ClaimStatus"):
        assert recipes.Status is recipes.ClaimStatus
