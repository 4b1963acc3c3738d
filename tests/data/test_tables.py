from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.errors import input_error
from otgen.data import tables
from otgen.data.tables import read_csv, read_parquet
from otgen.errors import MissingDependency


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def content(table: tables.NumericTable) -> tuple[object, object]:
    return table.columns, table.values.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3,4.5\n",
        "x,y\r\n1,2\r\n3,4.5\r\n",
        "x,y\n1,2\n3,4.5",
        "x,y\n1,2\n3,4.5\n\n  \n",
        '"x","y"\n"1","2"\n"3","4.5"\n',
        " x , y \n 1 , 2 \n3, 45e-1\n",
        b"\xef\xbb\xbfx,y\n1,2\n3,4.5\n",
    ],
)
def test_every_spelling_of_a_table_is_read(tmp_path: Path, text: str | bytes) -> None:
    assert content(read_csv(write(tmp_path, text), None)) == (("x", "y"), [[1.0, 2.0], [3.0, 4.5]])


def test_without_a_header_the_first_line_is_data(tmp_path: Path) -> None:
    assert content(read_csv(write(tmp_path, "1,2\n3,4\n"), None)) == (("0", "1"), [[1.0, 2.0], [3.0, 4.0]])


def test_one_column_and_one_row(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path, "7"), None).values.tolist() == [[7.0]]
    assert read_csv(write(tmp_path, "x\n7\n8\n"), None).values.tolist() == [[7.0], [8.0]]


def test_columns_are_chosen_by_name_and_ordered_as_asked(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "name,x,y\nAnn,1,2\nBob,3,4\n"), ("y", "x"))
    assert content(table) == (("y", "x"), [[2.0, 1.0], [4.0, 3.0]])


def test_columns_are_chosen_by_position_where_there_are_no_names(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path, "1,2,3\n4,5,6\n"), ("2", "0")).values.tolist() == [[3, 1], [6, 4]]


def test_nan_and_infinity_are_values_for_the_next_check_to_find(tmp_path: Path) -> None:
    for columns in (None, ("x", "y")):
        values = read_csv(write(tmp_path, "x,y\n1,nan\ninf,4\n"), columns).values
        assert np.isnan(values[0, 1])
        assert np.isinf(values[1, 0])


def test_the_careful_pass_reads_what_the_fast_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)) * 10.0 ** np.arange(-8, 8, 4)
    path = write(tmp_path, "\n".join(",".join(repr(float(v)) for v in row) for row in values))
    assert np.array_equal(read_csv(path, None).values, values)
    monkeypatch.setattr(tables, "_parse_fast", lambda lines, width: None)
    assert np.array_equal(read_csv(path, None).values, values)


BROKEN = [
    ("", "is empty"),
    ("\n\n", "is empty"),
    ("x,y\n", "no rows"),
    ("x,y\n1,a\n", "column 'y' is not numeric: got 'a' in line 2"),
    ("x,y\n1,2\n3,NA\n", "column 'y' is not numeric: got 'NA' in line 3"),
    ("x,y\n1,2\n3,\n", "column 'y' lacks a value: line 3"),
    ("x,y\n1,2\n,3\n", "column 'x' lacks a value: line 3"),
    ("x,y\n1,1_000\n", "column 'y' is not numeric: got '1_000'"),
    ("x,y\n1,2\n3\n", "line 3 of .* has 1 cell"),
    ("x,y\n1,2\n3,4,5\n", "line 3 of .* has 3 cell"),
    ("1,2\n3\n", "line 2 of .* has 1 cell"),
    ("x,y\n1,2\n\n3,4\n", "line 3 of .*; remove it"),
    ("x\n1\n\n3\n", "is blank: line 3"),
    ("1.5,abc\n1,2\n", "neither names nor numbers"),
    ("x;y\n1;2\n", "separate cells by commas"),
    (",x\n0,5\n1,6\n", "column 1 of .* perhaps an index"),
    ('x,y\n1,"2\n3,4\n', "cannot be parsed"),
    (b"x,y\n1,\xff\n", "not UTF-8"),
    (b"\x00\x01\x02\x00", "."),
    ("x,y\n1," + "9" * 200_000 + "z\n", "cannot be parsed"),
    ("x" * 200_000 + "\n1\n", "cannot be parsed"),
]


# What fuzzing found: numpy's parser took each of these for numbers.
BROKEN += [('x\n"1"2\n', "cannot be parsed"), ('"x","y#\n"1","2"\n', "cannot be parsed")]
BROKEN += [("1\n\x1c1\n", r"got '\\x1c1' in line 2")]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_table_is_explained(tmp_path: Path, text: str | bytes, message: str) -> None:
    input_error(message, read_csv, write(tmp_path, text), None)


def test_a_row_of_another_length_is_refused_even_where_the_chosen_columns_are_there(tmp_path: Path) -> None:
    input_error("differ in length", read_csv, write(tmp_path, "x,y\n1,2\n3,4,5\n"), ("x",))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("z",), "t.csv has no column of that name: got 'z'; choose from: x, y, y"),
        (("y",), "has 2 columns of that name"),
        (("0",), "has no column"),
        ((), "no column is chosen"),
    ],
)
def test_columns_that_cannot_be_chosen_are_refused(tmp_path: Path, columns: tuple[str, ...], message: str) -> None:
    input_error(message, read_csv, write(tmp_path, "x,y,y\n1,2,3\n"), columns)


def test_a_file_that_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    input_error(r"a data file is missing: got .*none\.csv", read_csv, tmp_path / "none.csv", None)


# Parquet


def parquet(folder: Path, **columns: Any) -> Path:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs otgen[tables]", exc_type=ImportError)
    import pyarrow

    path = folder / "t.parquet"
    pq.write_table(pyarrow.table(columns), path)
    return path


def test_parquet_columns_of_every_numeric_type_are_read(tmp_path: Path) -> None:
    a, b = np.array([1, 2], dtype=np.int8), np.array([0.5, -1.5], dtype=np.float32)
    table = read_parquet(parquet(tmp_path, a=a, b=b, c=np.array([True, False]), d=np.array([1e300, 7])), None)
    assert content(table) == (("a", "b", "c", "d"), [[1, 0.5, 1, 1e300], [2, -1.5, 0, 7]])


def test_parquet_columns_are_ordered_as_asked(tmp_path: Path) -> None:
    table = read_parquet(parquet(tmp_path, a=[1, 2], b=[3, 4], name=["x", "y"]), ("b", "a"))
    assert content(table) == (("b", "a"), [[3, 1], [4, 2]])


def test_a_folder_name_makes_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "year=2020"
    folder.mkdir()
    assert read_parquet(parquet(folder, a=[1.0]), None).columns == ("a",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1, 2], "name": ["x", "y"]}, "column 'name' is not numeric: got the type (large_)?string"),
        ({"a": [[1, 2], [3, 4]]}, "column 'a' is not numeric: got the type list"),
        ({"a": [1.0, None, None]}, r"column 'a' lacks 2 value\(s\): the first in row 1"),
        ({"a": [1.0, 2.0], "__index_level_0__": [0, 1]}, "an index beside its data"),
        ({}, "no columns"),
    ],
)
def test_a_parquet_table_with_other_things_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    input_error(message, read_parquet, parquet(tmp_path, **columns), None)


def test_damaged_parquet_is_explained(tmp_path: Path) -> None:
    path = parquet(tmp_path, a=np.arange(1000.0))
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:-30], whole[: len(whole) // 2], whole[:40] + bytes(400) + whole[440:]):
        path.write_bytes(damaged)
        input_error("cannot be read", read_parquet, path, None)


def test_without_pyarrow_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match=r"pip install 'otgen\[tables\]'"):
        read_parquet(tmp_path / "t.parquet", None)
