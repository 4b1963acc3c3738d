"""Samples of runs as rows of a table, in the table's own columns and units, from the run directory alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cases import tables
from cases.checkpoints import change, sum_again
from cases.errors import input_error
from otgen.data import Table
from otgen.runs import in_units, load_coder, sample_rows, sample_run, write_rows
from otgen.train import RunConfig, RunDir, checkpoint

Copy = Callable[[str], RunDir]

pytestmark = pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")


@pytest.fixture
def run(finished: dict[str, Path]) -> RunDir:
    """The one on the table; not to be changed."""
    return RunDir.open(finished["table"])


def test_rows_have_the_tables_columns_and_dtypes(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Table().frame()
    monkeypatch.setattr(Table, "_read", lambda self: pytest.fail("the data are not needed"))
    rows = sample_rows(run, 300, 0)
    assert (rows.dtypes == real.dtypes).all()
    assert len(rows) == 300
    assert set(rows["station"]) <= set(real["station"])
    assert rows["rentals"].between(real["rentals"].min(), real["rentals"].max()).all()
    assert not rows["date"].isna().any()
    assert tables.equal(rows, sample_rows(run, 300, 0))
    assert not rows.equals(sample_rows(run, 300, 0, raw=True))


def test_the_coder_is_that_of_the_rows_that_were_trained_on(run: RunDir) -> None:
    coder, config = load_coder(run), run.load_config()
    data = config.training_data()
    assert coder is not None
    assert isinstance(data, Table)
    assert coder.text() == data.coder.text() != Table().coder.text()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_are_written_so_that_pandas_reads_the_same(run: RunDir, ending: str, tmp_path: Path) -> None:
    rows = sample_rows(run, 200, 0)
    path = tmp_path / f"rows.{ending}"
    write_rows(rows, path)
    assert tables.equal((pd.read_csv if ending == "csv" else pd.read_parquet)(path), rows)


def test_numpy_gets_an_array_a_column(tmp_path: Path) -> None:
    frame = tables.mixed(20)
    frame["file"] = pd.date_range("2020-01-01", periods=20)
    frame["flag"] = [np.nan, True] * 10
    write_rows(frame, tmp_path / "rows.npz")
    with np.load(tmp_path / "rows.npz") as read:
        assert read.files == frame.columns.tolist()
        assert np.array_equal(read["size"], frame["size"].to_numpy(), equal_nan=True)
        assert read["rooms"].dtype == np.int64
        assert read["big"].dtype == np.bool_
        assert read["file"].dtype == np.dtype("datetime64[us]")
        assert read["colour"].tolist() == frame["colour"].fillna("").tolist()
        assert np.nansum(read["flag"]) == 10
    input_error("holds numbers alone, and column 'colour'", lambda: write_rows(frame, tmp_path / "rows.npy"))
    write_rows(frame[["rooms", "big", "size"]], tmp_path / "rows.npy")
    assert np.load(tmp_path / "rows.npy").shape == (20, 3)
    input_error("rows cannot be written to .*rows.xlsx", lambda: write_rows(frame, tmp_path / "rows.xlsx"))
    assert not (tmp_path / "rows.xlsx").exists()


def test_text_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x;k\n0,5;a\n1,25;b\n7;a\n", encoding="utf-8")
    table = Table(path=str(path))
    write_rows(table.coder.decode(table.support()), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text(encoding="utf-8") == "x;k\n0,5;a\n1,25;b\n7;a\n"


def test_samples_of_scaled_arrays_come_in_the_files_units(finished: dict[str, Path]) -> None:
    run = RunDir.open(finished["points"])
    samples, _ = sample_run(run, 50, 0)
    values = in_units(run, samples)
    assert values[:, 0].mean() == pytest.approx(1003, abs=10)
    assert values[:, 1].abs().max() < 1
    data = run.load_config().data
    torch.testing.assert_close(values, data.restore(samples))  # type: ignore[attr-defined]
    rows = sample_rows(run, 50, 0)
    assert rows.columns.tolist() == ["length", "width"]
    assert np.allclose(rows.to_numpy(), values)


def test_samples_of_other_data_are_in_their_units(finished: dict[str, Path], run: RunDir) -> None:
    plane = RunDir.open(finished["plane"])
    samples, _ = sample_run(plane, 5, 0)
    assert torch.equal(in_units(plane, samples), samples.double())
    assert load_coder(plane) is None
    input_error("are no rows of a table", sample_rows, plane, 5, 0)
    input_error("not numbers alone: 'date'", in_units, run, sample_run(run, 5, 0)[0])


def test_a_checkpoint_without_a_coder_is_read(copy_of: Copy) -> None:
    """As those of earlier versions are."""
    run = copy_of("table")
    newest = checkpoint.newest(run.checkpoints)
    (newest / "table.json").unlink()
    sum_again(newest)
    assert sample_run(run, 3, 0)[0].shape[0] == 3
    input_error("are no rows of a table", sample_rows, run, 5, 0)


def test_a_damaged_coder_is_told_in_one_line(copy_of: Copy) -> None:
    run = copy_of("table")
    newest = checkpoint.newest(run.checkpoints)
    change(newest / "table.json", lambda about: {**about, "columns": [{"name": "x"}]})
    assert "table.json" in input_error("is damaged", sample_rows, run, 5, 0)


def test_a_frame_has_no_place_in_a_configuration(tmp_path: Path) -> None:
    config = RunConfig(data=Table.of(tables.mixed()), steps=1)
    input_error("cannot name its data: got a frame of pandas; save it", RunDir.create, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
