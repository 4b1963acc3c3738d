"""`otgen train PATH`: the data are recognised, and what is chosen is said in a line."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import yaml
from PIL import Image

from cases.errors import input_error
from cases.runs import Call, Says
from otgen import papers
from otgen.cli.few_data import few_data_line
from otgen.cli.recognise import recognise
from otgen.cli.train_recipe import choose
from otgen.data import Table, table
from otgen.data.table_text import read_text
from otgen.nets import MlpGenerator
from otgen.papers import Recipe, Scale
from otgen.papers.own.digits import pixels
from otgen.papers.recipe import _RECIPES
from otgen.train import RunConfig, TrainerConfig

CHANCE = np.random.default_rng(0)
# As it is, where a test does not train it.
PHOTOS = papers.find("photos")


def tiny_recipe(scale: Scale) -> RunConfig:
    """Any data, at once."""
    config = pixels(Scale.SMOKE)
    method = replace(config.method, batch=8, max_steps=3)  # type: ignore[call-arg]
    trainer = TrainerConfig(eval_samples=30, threads=1)
    return replace(config, generator=MlpGenerator(widths=(6,)), method=method, trainer=trainer, steps=2)


@pytest.fixture(autouse=True)
def _tiny_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the names that are chosen, which train at once."""
    for name in ("photos", "table"):
        monkeypatch.setitem(_RECIPES, name, Recipe(name, "tiny", tiny_recipe))


def write_images(folder: str, count: int, size: tuple[int, int], *, mode: str = "RGB", ending: str = "png") -> None:
    """Images of noise, which has colours where there are channels for them."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    for k in range(count):
        Image.fromarray(CHANCE.integers(0, 256, shape, dtype=np.uint8)).save(f"{folder}/{size[0]}-{k}.{ending}")


def option(words: tuple[str, ...], name: str) -> str:
    return words[words.index(f"--{name}") + 1]


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_folder_of_images_trains(whole: bool, succeeds: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, or as far as there is something of the folder in it."""
    write_images("mine", 60, (8, 8))
    if not whole:
        monkeypatch.setattr("otgen.cli.train._trained", lambda trainer: print(f"Training in {trainer.run.path}") or 0)
    out = succeeds("train", "mine/", "--out", "run").splitlines()
    assert out[0] == "mine/: 60 images, 8 x 8 in colour: recipe photos at 8 pixels"
    assert out[1].startswith("Only 60 images: expect memorised or blurred samples, and little certainty from the 6")
    assert out[2] == "Training in run"
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    expected = {"folder": "mine/", "size": 8, "channels": 3}
    assert {key: config["data"]["init_args"][key] for key in expected} == expected


def test_what_is_given_wins(succeeds: Says) -> None:
    write_images("mine", 3, (8, 8))
    printed = succeeds("train", "mine", "--data.size", "16", "--steps", "7", "--print_config")
    config = yaml.safe_load(printed)  # so no other line is printed
    assert (config["data"]["init_args"]["size"], config["steps"]) == (16, 7)


@pytest.mark.parametrize(
    ("count", "size", "mode", "said"),
    [
        (3, (28, 28), "L", "3 images, 28 x 28, grey: recipe photos at 28 pixels"),
        (3, (40, 30), "RGB", "3 images, 40 x 30 in colour: recipe photos at 32 pixels"),
        (3, (26, 26), "RGB", "3 images, 26 x 26 in colour: recipe photos at 32 pixels"),
        (3, (90, 70), "RGB", "recipe photos at 32 pixels (64 needs 2,000 images or more; to try it: --data.size 64)"),
        (1, (20, 20), "RGB", "1 image, 20 x 20 in colour: recipe photos at 20 pixels"),
    ],
)
def test_the_size_follows_from_the_images(count: int, size: tuple[int, int], mode: str, said: str) -> None:
    write_images("mine", count, size, mode=mode)
    found = recognise("mine")
    assert found.line.startswith("mine: ")
    assert found.line.endswith(said)
    assert option(found.words, "data.channels") == ("1" if mode == "L" else "3")


def test_enough_large_images_are_trained_at_64_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otgen.cli.recognise._ENOUGH_FOR_LARGE", 5)
    for number, size in enumerate(((64, 64), (70, 80), (200, 90), (10, 10), (65, 400))):
        write_images(f"mine/{number}", 1, size)
    found = recognise("mine")
    assert "5 images, of many sizes, the shorter side 65 in the middle, in colour: recipe photos at 64" in found.line
    assert found.line.endswith("; its 5 folders can be classes: --label folder")
    assert option(found.words, "data.size") == "64"


def test_colours_that_are_none_are_grey() -> None:
    """As cameras and converters save grey pictures."""
    Path("mine").mkdir()
    for k in range(4):
        grey = Image.fromarray(CHANCE.integers(0, 256, (32, 32), dtype=np.uint8)).resize((40, 40))
        grey.convert("RGB").save(f"mine/{k}.jpg", quality=80)
    assert option(recognise("mine").words, "data.channels") == "1"
    write_images("mine", 1, (40, 40))
    assert option(recognise("mine").words, "data.channels") == "3"


def test_images_that_cannot_be_read_are_left_to_the_data() -> None:
    write_images("mine", 3, (16, 16))
    Path("mine/broken.png").write_bytes(b"no image")
    assert "4 images, 16 x 16" in recognise("mine").line
    shutil.rmtree("mine")
    Path("mine").mkdir()
    Path("mine/broken.png").write_bytes(b"no image")
    input_error("none of the first images in mine can be read", recognise, "mine")


def _arrays() -> dict[str, Any]:
    return {
        "points.npy": CHANCE.normal(size=(30, 2)),
        "numbers.npy": CHANCE.normal(size=30),
        "grey.npy": CHANCE.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "colour.npy": CHANCE.random((30, 3, 32, 32)),
        "volumes.npy": CHANCE.random((30, 4, 5, 6)),
    }


ARRAYS = {
    "points.npy": "30 samples of 2 numbers: recipe table",
    "numbers.npy": "30 samples of 1 number: recipe table",
    "grey.npy": "30 samples, 28 x 28 grey: recipe photos",
    "colour.npy": "30 samples, 32 x 32 in colour: recipe photos",
    "volumes.npy": "30 samples of shape (4, 5, 6): recipe pixels, for any shape",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_told_by_their_shapes(name: str, succeeds: Says) -> None:
    np.save(name, _arrays()[name])
    found = recognise(name)
    assert found.line.startswith(f"{name}: ")
    assert ARRAYS[name] in found.line
    config = yaml.safe_load(succeeds("train", name, "--print_config"))["data"]
    assert (config["class_path"], config["init_args"]["path"]) == ("otgen.data.Arrays", name)
    assert config["init_args"]["standardise"] == (name not in ("grey.npy", "colour.npy"))
    shape = {"grey.npy": [1, 28, 28], "colour.npy": [3, 32, 32]}.get(name)
    assert config["init_args"]["sample_shape"] == shape
    assert config["init_args"]["scale"] == (pytest.approx(1 / 255) if name == "grey.npy" else 1)


@pytest.mark.slow
def test_an_array_trains(succeeds: Says) -> None:
    np.savez("x.npz", points=_arrays()["points.npy"], other=np.zeros(3))
    words = ("--scale", "smoke", "--steps", "2", "--method.batch", "8", "--trainer.eval_samples", "30")
    out = succeeds("train", "x.npz", "--data.key", "points", *words, "--out", "run")
    assert out.startswith("x.npz: 30 samples of 2 numbers: recipe table\nOnly 30 rows: the run can learn to copy them")


def _frame(rows: int, numbers: int) -> Any:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{k}": rng.normal(size=rows) for k in range(numbers)}
    columns["sort"] = rng.choice(["a", "b"], rows)
    columns["kept"] = rng.random(rows) < 0.5
    return pandas.DataFrame(columns)


def _write(frame: Any, name: str) -> None:
    if name.endswith("parquet"):
        frame.to_parquet(name, index=False)
    else:
        frame.to_csv(name, index=False, sep="\t" if name.endswith("tsv") else ",")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables_are_told_by_their_columns(ending: str) -> None:
    name = f"cars.{ending}"
    _write(_frame(400, 6), name)
    found = recognise(name)
    assert found.line == f"{name}: 400 rows, 8 columns (6 numbers, 2 categories): recipe table"
    assert (found.recipe, found.count) == ("table", 400)
    assert found.words == ("--data", "Table", "--data.path", name)


def test_all_columns_of_a_table_are_named_by_kind() -> None:
    frame = _frame(1200, 1).assign(id=range(1200), land="x", day=pandas.date_range("2020-01-01", periods=1200))
    frame["note"] = [f"{k // 2}?" for k in range(1200)]
    _write(frame, "all.csv")
    said = "1,200 rows, 7 columns (1 number, 2 categories, 1 date, 1 id, 1 constant, 1 left out)"
    assert said in recognise("all.csv").line


def test_a_table_is_read_once(succeeds: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(_frame(60, 2), "few.csv")
    read: list[Path] = []
    monkeypatch.setattr(table, "read_text", lambda path: read.append(path) or read_text(path))
    succeeds("train", "few.csv", "--steps", "1", "--label", "sort", "--out", "new")
    assert read == [Path("few.csv")]


@pytest.mark.parametrize(("numbers", "is_offered"), [(1, False), (2, True), (3, True), (4, False)])
def test_the_other_scaling_is_offered_for_points_of_the_plane_or_of_space(numbers: int, is_offered: bool) -> None:
    _write(_frame(200, numbers).select_dtypes("number"), "points.csv")
    offer = "; if these are points in space, --data.scaling standard bends their shape less"
    assert recognise("points.csv").line.endswith(offer) is is_offered
    assert "scaling" not in recognise("points.csv", is_scaled=True).line
    # Not where a column is no number.
    _write(_frame(200, numbers), "rows.csv")
    assert "scaling" not in recognise("rows.csv").line


def test_a_label_is_not_offered_where_it_is_given() -> None:
    for name in ("a", "b"):
        write_images(f"mine/{name}", 4, (8, 8))
    given = argparse.Namespace(data=None, resume=None, init_from=None, data_key=None, data_label=None)
    given.data_scaling = given.method = given.config = None
    assert "--label folder" in choose("mine", given).notes[0]
    given.data_label = "folder"
    assert "--label" not in choose("mine", given).notes[0]


def test_the_recipe_of_tables_is_fitted_to_few_rows_and_to_many_columns() -> None:
    recipe: Any = papers.find("table").build(Scale.CPU)
    _write(_frame(60, 80), "wide.csv")
    width = Table(path="wide.csv").coder.width
    assert width > recipe.latent.dim
    assert recognise("wide.csv").words[4:] == ("--latent.dim", str(width))
    # Of so few nothing is held out.
    few = recipe.method.batch - 2
    _write(_frame(few, 2), "few.csv")
    assert recognise("few.csv").words[4:] == ("--method.batch", str(few))


@pytest.mark.parametrize("other", [{}, {"method": "WGAN"}, {"config": "x.yaml"}, {"data_label": None}], ids=str)
def test_the_solver_of_rows_with_a_label_takes_more_steps(other: dict[str, str | None]) -> None:
    recipe: Any = papers.find("table").build(Scale.CPU)
    _write(_frame(400, 2), "rows.csv")
    given = argparse.Namespace(**vars(GIVEN) | {"data_label": "sort"} | other)
    added = choose("rows.csv", given).words[len(choose("rows.csv", GIVEN).words) :]
    assert added == (() if other else ("--method.max_steps", "120"))
    assert recipe.method.max_steps < 120


REFUSED = {
    "photo/": "there is no file or folder photo/; did you mean 'photos'?",
    "photo.csv": "there is no file or folder photo.csv",
    "notes.md": "notes.md is no kind of file that is known here",
    "empty": "a folder holds no image: got empty",
    "tables": "tables holds no image, but 1 table(s): give one of them, as tables/a.csv",
    "single.csv": "single.csv holds 1 sample(s), of which nothing can be learnt: give 50 or more",
    "one": "one holds 1 sample(s), of which nothing can be learnt",
    "last.npy": "last.npy has images with their colours last",
    "run": "run is a run: go on with otgen train --resume --out run, or start a new one from its weights with --init",
    "phots": "there is no recipe, folder or file 'phots'; did you mean 'photos'? the recipes are ",
    "tabels": "there is no recipe, folder or file 'tabels'; did you mean 'tables'? the recipes are ",
    "photos/../gone": "there is no file or folder photos/../gone",
    "gone/a": "there is no file or folder gone/a; did you mean 'one'?",
    "swgan.fig3/": "there is no file or folder swgan.fig3/",
    "swgan.fig3/gone": "swgan.fig3 has no panel 'gone'; its panels are swgan-d4,",
    "swgan.fg3/swgan-d4": "there is no figure 'swgan.fg3'; did you mean 'swgan.fig3'?",
    "one/8-0.png": "it is one image: give the folder of all of them, as one/",
    "data.zip": "unpack it, and give the folder or the table that was in it",
    "photos --data Arrays": "the data are given twice, by photos and by --data Arrays",
}


@pytest.mark.parametrize(("words", "said"), REFUSED.items())
def test_what_is_nothing_to_train_on_is_one_line(
    words: str, said: str, refused: Call, trained_once: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_RECIPES, "photos") if words == "photos --data Arrays" else None
    for folder in ("photos", "empty", "tables"):
        Path(folder).mkdir()
    for file in ("notes.md", "data.zip"):
        Path(file).touch()
    Path("tables/a.csv").touch()
    Path("single.csv").write_text("x,k\n1.5,a\n", encoding="utf-8")
    write_images("one", 1, (8, 8))
    write_images("photos", 1, (8, 8))
    np.save("last.npy", np.zeros((4, 8, 8, 3)))
    Path("run").symlink_to(trained_once[0])
    name, *rest = words.split()
    assert said in refused("train", name, *rest, "--out", "new", code=2 if rest else 1)
    assert not Path("new").exists()


# No option at all.
OPTIONS = ("data", "data_key", "data_folder", "data_path", "config", "resume", "init_from", "misplaced", "data_label")
OPTIONS += ("data_scaling", "method")
GIVEN = argparse.Namespace(**dict.fromkeys(OPTIONS))


def test_a_recipe_goes_before_a_path_of_its_name() -> None:
    write_images("table", 9, (8, 8))
    chosen = choose("table", GIVEN)
    assert chosen.recipe is papers.find("table")
    assert chosen.words == ()
    other = "To have the folder looked at and the recipe chosen for it: otgen train ./table"
    own = "table is a recipe, and a folder here: the recipe is taken, on its own data, Digits."
    assert chosen.notes == (f"{own} {other}",)
    named = argparse.Namespace(**vars(GIVEN) | {"data_path": "x.csv"})
    assert choose("table", named).notes == (f"table is a recipe, and a folder here: the recipe is taken. {other}",)
    for name in ("./table", "table/"):
        assert choose(name, GIVEN).notes == (f"{name}: 9 images, 8 x 8 in colour: recipe photos at 8 pixels",)


def test_a_run_of_a_path_is_continued_as_it_was() -> None:
    """What is in the folder by now decides nothing."""
    write_images("mine", 9, (8, 8))
    chosen = choose("mine", argparse.Namespace(**vars(GIVEN) | {"resume": ""}))
    assert (chosen.recipe.name, chosen.words, chosen.notes) == ("photos", (), ())


@pytest.mark.parametrize(
    ("count", "shape", "said"),
    [
        (1, (3, 8, 8), "Only 1 image: the run can learn to copy them"),
        (3, (3, 8, 8), "Only 3 images: the run can learn to copy them, and nothing else."),
        (49, (2,), "give 100 or more"),
        (
            300,
            (3, 8, 8),
            "Only 300 images: expect memorised or blurred samples, and little certainty from the 30 or so",
        ),
        (99, (2,), "Only 99 rows: expect memorised samples"),
        (100, (2,), None),
        (1000, (1, 8, 8), None),
    ],
)
def test_what_few_data_can_show(count: int, shape: tuple[int, ...], said: str | None) -> None:
    line = few_data_line(count, shape)
    assert line is None if said is None else line is not None and said in line


def test_a_recipe_on_the_folder_of_its_own_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_RECIPES, "photos", PHOTOS)
    write_images("photos", 1, (8, 8))
    (note,) = choose("photos", GIVEN).notes
    assert note.startswith(
        "photos is a recipe, and a folder here: the recipe is taken, on its own data, ImageFolder of p"
    )
    assert note.endswith(": otgen train ./photos")
