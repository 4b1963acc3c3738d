"""Tables of any columns from text and from Parquet: every form that people write, and what is refused."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cases import tables
from cases.errors import input_error
from otgen import files
from otgen.data import ColumnKind, RowCoder, Table
from otgen.data.table_form import TextForm
from otgen.data.table_text import read_text
from otgen.errors import MissingDependency

pytestmark = pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


EXPECTED = pd.DataFrame({"x": [1.0, 3.0, np.nan], "y": [2.0, 4.5, -1.0], "name": ["a b", "ü", np.nan]}).astype(
    {"name": "str"}
)
SPELLINGS = [
    "x,y,name\n1,2,a b\n3,4.5,ü\n,-1,\n",
    "x;y;name\n1;2;a b\n3;4.5;ü\n;-1;\n",
    "x;y;name\n1,0;2;a b\n3;4,5;ü\nNA;-1;null\n",
    "x\ty\tname\n1\t2\ta b\n3\t4.5\tü\nNaN\t-1\tNA\n",
    "x,y,name\r\n1,2,a b\r\n3,4.5,ü\r\n,-1,\r\n",
    '"x","y","name"\n"1","2","a b"\n"3","45e-1","ü"\n"",-1,""',
    " x , y , name \n 1 , 2 , a b \n3, 4.5,ü \n ,-1,  \n\n   \n",
    b"\xef\xbb\xbf" + "x,y,name\n\n1,2,a b\n3,4.5,ü\nnan,-1,<NA>\n".encode(),
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_table_is_read(tmp_path: Path, text: str | bytes) -> None:
    assert tables.equal(read_text(write(tmp_path, text)).frame, EXPECTED)


FORMS = {
    "German": "x;town\r\n1850,70;Köln\r\n910,25;Bonn\r\n7,00;Bonn\r\n2,50;Köln\r\n",
    "of R": '"","x","n","town","ok"\n"1",0.5,NA,"a",TRUE\n"2",7,3,NA,FALSE\n"3",8,4,"a",TRUE\n"4",8,4,"a",TRUE\n',
    "all in quotes": '"x","k"\r\n"1","a"\r\n"2","b"\r\n"1","a"\r\n',
    "some in quotes": 'x,k\n1.50,"a, b"\n2.25,"c ""d"""\n2.25,e\n2.75,e\n',
    "without names": "1,2.5\n4,3.5\n2,9.25\n1,4.0\n",
    "of Excel": "\ufeffa;b\r\n1,5;x\r\n2,5;y\r\n2,5;y\r\n",
    "small numbers": "x,k\n0.00001,a\n0.5,b\n0.25,b\n",
    "exponents": "x,k\n1e-05,a\n0.5,b\n0.25,b\n",
    "whole and broken numbers": "x,k\n3,a\n0.5,b\n0.125,b\n",
    "a column alone": 'x\n1.5\n""\n2.5\n3.5\n',
    "tabs": "x\ty\n1.0\ttrue\n2.0\tfalse\n1.0\ttrue\n",
    "a long text in quotes": '"k","x"\n' + f'"{"a, " * 900}\nb","1.5"\n"b","2.5"\n' * 40,
    "gaps after many rows": "x,k\n" + "1.5,a\n2.5,b\n" * 150 + "null,a\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_table_is_written_in_the_form_that_it_was_read_in(name: str, tmp_path: Path) -> None:
    table = Table(path=str(write(tmp_path, FORMS[name])))
    coder = RowCoder.read(table.coder.text())
    with (tmp_path / "again.csv").open("wb") as file:
        coder.form.write(coder.decode(table.support()), file)
    # Ids are counted anew.
    anew = (
        FORMS[name]
        .replace('"1",0', '"5",0')
        .replace('"2",7', '"6",7')
        .replace('"3",8', '"7",8')
        .replace('"4",8', '"8",8')
    )
    assert (tmp_path / "again.csv").read_bytes().decode() == (anew if name == "of R" else FORMS[name])


@pytest.mark.parametrize(
    "damage",
    [{"newline": "x"}, {"separator": "x"}, {"cells": {"x": {"missing": "x"}}}, {"cells": {"x": {"decimals": 99}}}],
)
def test_a_form_that_is_none_is_refused(damage: dict[str, Any]) -> None:
    stored = {"separator": ",", "point": "."}
    assert TextForm.from_plain(stored) == TextForm()
    with pytest.raises(ValueError, match="is unknown|are unknown"):
        TextForm.from_plain(stored | damage)


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ("1 2 3", "int64"),
        ("1 2.0 3", "float64"),
        ("1 NA 3", "float64"),
        ("007 1 2", "int64"),
        ("True FALSE true", "bool"),
        ("True NA False", "object"),
        ("1_000 2 3", "str"),
        ("2020-01-01 2020-01-02 x", "str"),
        ("9223372036854775808 1 2", "float64"),
        ("NA NA NA", "float64"),
        ("1e3 2 3", "float64"),
    ],
)
def test_dtypes_are_those_of_pandas(tmp_path: Path, cells: str, dtype: str) -> None:
    path = write(tmp_path, "c,x\n" + "".join(f"{cell},0.5\n" for cell in cells.split()))
    frame = read_text(path).frame
    assert str(frame["c"].dtype) == dtype
    if "9223" not in cells:
        assert tables.equal(frame, pd.read_csv(path))


def test_without_a_header_the_first_line_is_data(tmp_path: Path) -> None:
    frame = read_text(write(tmp_path, "1,2\n3,4\n5,7\n")).frame
    assert frame.columns.tolist() == ["0", "1"]
    assert len(frame) == 3


def test_an_index_that_pandas_saved_is_a_counter(tmp_path: Path) -> None:
    pd.DataFrame({"x": [0.5, 2.5, 1.5]}).to_csv(tmp_path / "t.csv")
    columns = Table(path=str(tmp_path / "t.csv")).coder.columns
    assert [(c.name, c.kind) for c in columns] == [("Unnamed: 0", ColumnKind.COUNTER), ("x", ColumnKind.NUMBER)]


def test_a_column_alone_keeps_its_quoted_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, np.nan, 2.5]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert tables.equal(read_text(tmp_path / "t.csv").frame, frame)


BROKEN = [
    ("", "is empty"),
    ("\n \n", "is empty"),
    ("x,y\n", "no rows"),
    ("x,y\n1,2\n3\n", "line 3 of .* has 1 cell"),
    ("x,y\n1,2\n3,4,5\n", "line 3 of .* has 3 cell"),
    ("x,x\n1,2\n", "2 columns of one name: got 'x'"),
    ("5.1,setosa\n4.9,setosa\n", "neither names nor numbers"),
    ('x,y\n1,"2\n3,4\n', "cannot be parsed"),
    (b"x,y\n1,\xff\n", "not UTF-8"),
    ("x" * 200_000 + "\n1\n", "cannot be parsed"),
    ("x\n" + "a" * 200_000 + "\n", "cannot be parsed"),
    ("," * 20_000 + "\n", "more than 16384 columns"),
    ("x,y\n1,inf\n2,3\n", "column 'y' holds an infinite number: in row 0"),
    ("x,y\n1,1e999\n2,3\n", "column 'y' holds an infinite number"),
    ("a\0b,y\n1,2\n", "zero bytes"),
    ("x,y\n1,2\n".encode("utf-16"), "not UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_table_is_explained(tmp_path: Path, text: str | bytes, message: str) -> None:
    input_error(message, Table(path=str(write(tmp_path, text))).support)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bytes_of_any_kind_end_in_one_line(tmp_path: Path, ending: str) -> None:
    """A whole table with some bytes replaced, removed or repeated is read, or refused in one line."""
    tables.mixed(30).to_csv(tmp_path / "t.csv", index=False)
    tables.mixed(30).to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / f"t.{ending}").read_bytes()
    rng = np.random.default_rng(0)
    path, refused = tmp_path / f"d.{ending}", 0
    for _ in range(60):
        start, length = (int(n) for n in (rng.integers(0, len(whole)), rng.integers(1, 60)))
        put = bytes(rng.integers(0, 256, int(rng.integers(0, 40)), dtype=np.uint8))
        path.write_bytes(whole[:start] + put + whole[start + length :])
        try:
            Table(path=str(path)).support()
        except Exception as error:
            refused += 1
            said = input_error(None, _raised, error)
            assert said.isprintable()
            assert len(said) < 2000
    assert refused > 5


def _raised(error: Exception) -> None:
    raise error


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    input_error("is missing", Table(path=str(tmp_path / "none.csv")).support)
    input_error("kind of a table is unknown", Table(path=str(tmp_path / "t.xlsx")).support)
    nasty = tmp_path / "\x1b[31mred\nline.csv"
    assert input_error(None, Table(path=str(nasty)).support).isprintable()
    write(tmp_path, "a\x1b[31m,b\n1,inf\n2,3\n")
    assert input_error(None, Table(path=str(tmp_path / "t.csv"), columns=("z",)).support).isprintable()


def test_tables_are_refused_before_they_take_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "x,y\n" + "1,2.5\n" * 5000)
    read_text(path)
    monkeypatch.setattr(files, "most_bytes", lambda: 400_000)
    input_error("would take [0-9]+ bytes of memory", read_text, path)
    monkeypatch.setattr(files, "most_bytes", lambda: 4000)
    input_error("at most 1333 are read", read_text, path)


def test_texts_that_a_small_parquet_file_repeats_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    import pyarrow

    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.arange(1_000) % 2), ["x" * 50_000, "y"])
    parquet.write_table(pyarrow.table({"text": text.cast("string")}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 300_000
    monkeypatch.setattr(files, "most_bytes", lambda: 10_000_000)
    input_error("'text' of .* would take 50064000 bytes", Table(path=str(tmp_path / "t.parquet")).support)


def test_what_a_parquet_file_cannot_hold_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.5, 2.5], "l": [[1], [2]]}).to_parquet(tmp_path / "t.parquet")
    input_error("column 'l' holds list<.*> values", Table(path=str(tmp_path / "t.parquet")).support)


@pytest.mark.parametrize("package", ["pandas", "pyarrow"])
def test_without_a_package_the_message_names_the_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.mixed(10).to_parquet(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"{package}.*pip install 'otgen\[tables\]'"):
        Table(path=str(tmp_path / "t.parquet")).support()


@pytest.mark.slow
def test_a_million_rows_take_bounded_memory(tmp_path: Path) -> None:
    """The peak of what Python allocates is a small multiple of the text's length."""
    rows = "".join(
        f"{i % 977 / 8},{i % 13},{'red' if i % 3 else 'blue'},2024-01-{1 + i % 28:02d}\n" for i in range(1_000_000)
    )
    path = write(tmp_path, "x,k,colour,day\n" + rows)
    size = path.stat().st_size
    del rows
    tracemalloc.start()
    table: Any = Table(path=str(path))
    assert table.support().shape == (1_000_000, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * size


# The cells of a label, its names in their order, and what else each may be called.
WORDS = [
    (("true", "false"), ("false", "true"), {"True": "true", "FALSE": "false", "tru": "tru"}),
    (("TRUE", "FALSE"), ("FALSE", "TRUE"), {"true": "TRUE"}),
    (("1,50", "2,25"), ("1,50", "2,25"), {"1,5": "1,50", " 2.25": "2,25", "2": "2"}),
    (("7", "10"), ("7", "10"), {"7.0": "7", "010": "10"}),
    (("True story", "true"), ("True story", "true"), {"True": "True"}),
]


@pytest.mark.parametrize(("cells", "names", "others"), WORDS, ids=str)
def test_a_label_is_named_in_the_words_of_the_table(
    cells: tuple[str, str], names: tuple[str, ...], others: dict[str, str], tmp_path: Path
) -> None:
    lines = [f"{cells[k % 2]};{k % 7 + 0.5:.2f}".replace(".", ",") for k in range(40)]
    table = Table(path=str(write(tmp_path, "\n".join(["kind;x", *lines, ""]))), label="kind")
    classes, coder = table.classes(), RowCoder.read(table.coder.text())
    assert classes is not None
    assert classes.names == names
    assert [names[k] for k in classes.index[:2]] == list(cells)
    assert {word: coder.label_among(word, names) for word in others} == others
    assert [coder.label_among(name, names) for name in names] == list(names)
    back = coder.decode(table.support(), coder.label_places([names[k] for k in classes.index]))
    assert tables.equal(back, table.frame())
