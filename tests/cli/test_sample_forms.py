"""`otgen sample`: folders, capped grids, ways between codes, rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases.runs import Call, Says
from otgen import runs
from otgen.cli.sample_forms import most_cells
from otgen.data import Arrays
from otgen.runs import Sampler
from otgen.train import RunDir
from otgen.train.pictures import cell_size

pytestmark = pytest.mark.usefixtures("pixels")


@pytest.fixture
def pictures(picture_run: Path) -> Path:
    """A run on images of 1 x 8 x 8; only to be read."""
    return picture_run


def _array(name: str) -> np.ndarray:
    values: np.ndarray = np.load(name)["samples"] if name.endswith(".npz") else np.load(name)
    return values


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("out", ["many/", "many"])
def test_a_folder_has_a_picture_a_sample_pixel_for_pixel(out: str, pictures: Path, succeeds: Says) -> None:
    assert succeeds("sample", pictures, "--n", "20", "--out", out) == "many\n"
    succeeds("sample", pictures, "--n", "20", "--out", "all.npz")
    expected = (_array("all.npz")[:, 0] * 255).round().astype(np.uint8)
    found = sorted(Path("many").iterdir())
    assert [path.name for path in found] == [f"{k:05d}.png" for k in range(20)]
    assert all(np.array_equal(_pixels(path), image) for path, image in zip(found, expected, strict=True))


def test_large_numbers_are_drawn_in_parts_of_the_same_codes(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.open(pictures)
    whole, _ = runs.sample_run(run, 70, 3)
    monkeypatch.setattr("otgen.runs.sample._PART", 32)
    sampler = Sampler.open(run)
    parts = list(sampler.parts(70, 3))
    assert [len(part) for part in parts] == [32, 32, 6]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert [len(part) for part in sampler.parts(50, 3)] == [32, 18]


def test_a_folder_that_is_not_empty_is_left_alone(pictures: Path, refused: Call, succeeds: Says) -> None:
    Path("many").mkdir()
    succeeds("sample", pictures, "--n", "3", "--out", "many/")
    Path("many/notes.txt").write_text("precious")
    line = refused("sample", pictures, "--n", "2", "--out", "many/", code=1)
    assert "many is not empty; choose another --out, or write into it with --force" in line
    shown = succeeds("sample", pictures, "--n", "2", "--seed", "1", "--out", "many/", "--force")
    assert shown == "many (it has 2 other files in it)\n"
    assert Path("many/notes.txt").read_text() == "precious"
    Path("file").write_text("precious")
    assert "file is a file, and no folder" in refused("sample", pictures, "--out", "file", "--force", code=1)


def test_a_folder_that_fails_is_gone(pictures: Path, refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Image.Image, file: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert "No space left" in refused("sample", pictures, "--out", "many/", code=1)
    assert not Path("many").exists()
    Path("many").mkdir()
    Path("many/mine.png").write_text("precious")
    refused("sample", pictures, "--out", "many/", "--force", code=1)
    assert [path.name for path in Path("many").iterdir()] == ["mine.png"]


def test_a_grid_has_a_cap(pictures: Path, refused: Call, succeeds: Says) -> None:
    line = refused("sample", pictures, "--n", "401", "--out", "grid.png", code=2)
    assert "a grid holds at most 400 images of this size, and 401 are asked for; give --n 400, or a folder" in line
    line = refused("sample", pictures, "--n", "50", "--interpolate", "10", "--out", "grid.png", code=2)
    assert "and 500 are asked for; give --n 40, or a folder" in line
    succeeds("sample", pictures, "--n", "400", "--out", "grid.png")
    with Image.open("grid.png") as grid:
        assert max(grid.size) < 8192


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 1024, 1024), (1, 5000, 1), (3, 1, 5000), (1, 20000, 20000)], ids=str
)
@pytest.mark.parametrize("columns", [None, 2, 10, 300])
def test_no_grid_is_larger_than_viewers_take(shape: tuple[int, ...], columns: int | None) -> None:
    most = most_cells(shape, columns)
    across = columns or int(np.ceil(np.sqrt(most)))
    height, width = cell_size(shape)
    rows = int(np.ceil(most / across))
    assert 1 <= most <= 400
    fits = min(most, across) * width + 2 <= 8192 and rows * height + 2 <= 8192
    assert fits or most == 1 or (columns or 1) > most  # of a row that does not fit, none is drawn


def test_rows_between_codes_begin_and_end_at_samples(pictures: Path, succeeds: Says) -> None:
    succeeds("sample", pictures, "--interpolate", "5", "--n", "3", "--out", "between.npy")
    succeeds("sample", pictures, "--n", "6", "--out", "ends.npz")
    rows, ends = _array("between.npy").reshape(3, 5, 1, 8, 8), _array("ends.npz")
    np.testing.assert_allclose(rows[:, 0], ends[:3], atol=1e-6)
    np.testing.assert_allclose(rows[:, -1], ends[3:], atol=1e-6)
    succeeds("sample", pictures, "--interpolate", "5", "--out", "between.png")
    with Image.open("between.png") as grid:
        assert grid.size == (5 * 82 + 2, 8 * 82 + 2)
    succeeds("sample", pictures, "--interpolate", "5", "--n", "2", "--out", "between/")
    assert len(list(Path("between").iterdir())) == 10


REFUSED = {"--out x.csv": "samples of shape (1, 8, 8) are no rows of a table; write them to a .png, a folder,"}
REFUSED |= {"--out x.parquet": "no rows of a table", "--out x.jpg": "--out must end in .png, .npz, .npy, .csv"}
REFUSED |= {"--out x.png --interpolate 1": "--interpolate must be at least 2"}
REFUSED |= {"--out x.npz --n 100000000000000": "bytes of memory"}


@pytest.mark.parametrize(("words", "said"), REFUSED.items())
def test_forms_that_do_not_fit_are_one_line(words: str, said: str, pictures: Path, refused: Call) -> None:
    code = 1 if "memory" in said else 2
    assert said in refused("sample", pictures, *words.split(), code=code)
    assert list(Path().iterdir()) == []


def test_points_make_no_folder_and_are_rows(
    trained: Path, refused: Call, succeeds: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = refused("sample", trained, "--out", "many/", code=2)
    assert "samples of shape (2,) make no folder of pictures; write them to a .csv, .parquet, .npy or .npz" in line
    written: dict[str, Any] = {}
    monkeypatch.setattr(runs, "write_rows", lambda frame, path: written.update({path.name: frame}), raising=False)
    succeeds("sample", trained, "--n", "4", "--out", "points.csv")
    assert list(written["points.csv"].columns) == ["0", "1"]
    succeeds("sample", trained, "--n", "4", "--out", "points.npy")
    np.testing.assert_array_equal(written["points.csv"].to_numpy(), _array("points.npy"))
    line = refused("sample", trained, "--interpolate", "3", "--out", "way.png", code=2)
    assert "--interpolate of points makes rows of numbers on the way from one to another, and no picture" in line
    succeeds("sample", trained, "--interpolate", "3", "--n", "2", "--out", "way.csv")
    assert len(written["way.csv"]) == 6
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pip install 'otgen[tables]'" in refused("sample", trained, "--out", "points.csv", code=1)


def test_points_without_names_are_read_back_as_they_were(trained: Path, succeeds: Says) -> None:
    """A line of the names 0 and 1 would be a point more."""
    succeeds("sample", trained, "--n", "4", "--out", "points.csv")
    succeeds("sample", trained, "--n", "4", "--out", "points.npy")
    np.testing.assert_allclose(Arrays(path="points.csv").support(), _array("points.npy"))


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("columns", [2, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 3))])
def test_a_table_of_one_or_two_numbers_is_drawn_as_training_draws_it(
    columns: int, succeeds: Says, refused: Call
) -> None:
    rows = np.random.default_rng(0).normal(size=(60, columns))
    np.savetxt("rows.csv", rows, delimiter=",", header="abc"[:columns].replace("", ",")[1:-1], comments="", fmt="%.4f")
    words = ("--steps", "1", "--generator.widths", "[4]", "--trainer.eval_samples", "20", "--out", "run")
    succeeds("train", "rows.csv", *words)
    assert bool(list(Path("run/samples").glob("step_*.png"))) is (columns < 3)
    if columns < 3:
        assert succeeds("sample", "run", "--out", "x.png") == "x.png\n"
        with Image.open("x.png") as picture:
            assert picture.size == (720, 720)
        line = refused("sample", "run", "--out", "y.png", "--interpolate", "3", code=2)
        assert "--interpolate is for pictures and points" in line
    else:
        assert "one or two columns of numbers are drawn" in refused("sample", "run", "--out", "x.png", code=2)


def test_tables_are_written_as_rows_and_never_as_a_folder_of_pictures(
    trained: Path, refused: Call, succeeds: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any source with a coder is a table; its data are not read."""
    from otgen.data import Gaussians25

    def unread(self: Any) -> None:
        raise AssertionError("the data are not needed")

    called: list[Any] = []
    monkeypatch.setattr(Gaussians25, "coder", property(unread), raising=False)
    monkeypatch.setattr(runs, "sample_rows", lambda *args, **options: called.append((args[1:], options)), raising=False)
    monkeypatch.setattr(runs, "write_rows", lambda frame, path: None, raising=False)
    line = refused("sample", trained, "--out", "x/", code=2)
    assert "rows of a table, no pictures; write them to a .csv" in line
    line = refused("sample", trained, "--out", "x.npy", "--interpolate", "3", code=2)
    assert "--interpolate is for pictures and points" in line
    succeeds("sample", trained, "--n", "7", "--label", "no", "--out", "x.npz")
    assert called == [((7, 0), {"raw": False, "label": "no"})]
