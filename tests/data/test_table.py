"""The source Table: what its columns hold, how rows become samples, and how samples become rows again."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cases import tables
from cases.errors import input_error
from otgen.data import ColumnKind, RowCoder, Scaling, Table, training_part
from otgen.errors import TableWarning

pytestmark = pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")

K = ColumnKind


def written(folder: Path, frame: pd.DataFrame, ending: str = "csv") -> Path:
    path = folder / f"t.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep={"csv": ",", "tsv": "\t"}[ending])
    return path


def kinds(frame: pd.DataFrame, **options: Any) -> dict[str, ColumnKind]:
    return {column.name: column.kind for column in Table.of(frame, **options).coder.columns}


def without_id(frame: pd.DataFrame) -> pd.DataFrame:
    """Counted anew, the only column that does not come back."""
    return frame.drop(columns="id")


def noise(coder: RowCoder, n: int = 300, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(n, coder.width, generator=torch.Generator().manual_seed(0))


# --- kinds


RUN = np.arange(40)
KINDS: dict[str, tuple[Any, ColumnKind]] = {
    "number": (np.linspace(0, 1, 40) ** 2, K.NUMBER),
    "mass at zero": (np.maximum(np.linspace(-1, 1, 40), 0.0), K.NUMBER),
    "integer": (RUN**2 % 17, K.INTEGER),
    "few integers": (RUN % 2, K.INTEGER),
    "whole floats": ((RUN**2 % 17).astype(float), K.INTEGER),
    "integers with gaps": (pd.array([None, *(RUN[1:] ** 2 % 17)], dtype="Int64"), K.INTEGER),
    "flag": (RUN % 3 == 0, K.BOOLEAN),
    "flag with gaps": ([np.nan, True, *(RUN[2:] % 3 == 0)], K.BOOLEAN),
    "text": ([f"n{i % 5}" for i in RUN], K.CATEGORY),
    "category": (pd.Categorical(["a", "b"] * 20), K.CATEGORY),
    "codes of a category": (pd.Categorical([7, 9] * 20), K.CATEGORY),
    "day": (pd.date_range("2020-01-01", periods=40), K.DATE),
    "time": (pd.date_range("2020-01-01 10:30", periods=40, freq="7h", tz="Europe/Paris"), K.DATE),
    "day of Python": ([datetime.date(2020, 1, 1 + i % 28) for i in RUN], K.DATE),
    "day as text": ([f"2020-02-{1 + i % 28:02d}" for i in RUN], K.DATE),
    "American day": ([f"02/{1 + i % 28:02d}/2020" for i in RUN], K.DATE),
    "German time": ([f"{1 + i % 28:02d}.02.2020 10:{i:02d}" for i in RUN], K.DATE),
    "day or month": ([f"0{1 + i % 4}/0{1 + i % 3}/2020" for i in RUN], K.CATEGORY),
    "constant": ([3.5] * 40, K.CONSTANT),
    "constant text": (["x"] * 40, K.CONSTANT),
    "constant day": ([pd.Timestamp("2020-01-01")] * 40, K.CONSTANT),
    "missing": ([None] * 40, K.CONSTANT),
    "run": (RUN + 5, K.COUNTER),
    "descending": (50 - 2 * RUN, K.COUNTER),
    "shuffled run": (np.random.default_rng(0).permutation(40), K.COUNTER),
    "user_id": (np.random.default_rng(0).permutation(1000)[:40], K.COUNTER),
    "names": ([f"person {i}!" for i in RUN], K.COUNTER),
    "year": (1980 + RUN, K.INTEGER),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_a_column_holds_is_recognised(name: str) -> None:
    values, kind = KINDS[name]
    assert kinds(pd.DataFrame({"x": [0.5, 1.5] * 20, name: values}))[name] is kind


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("scaling", Scaling)
def test_rows_come_back_as_they_were_and_noise_becomes_legal_rows(name: str, scaling: Scaling) -> None:
    values, kind = KINDS[name]
    frame = pd.DataFrame({"x": [0.5, 1.5] * 20, name: values})
    table = Table.of(frame, scaling=scaling)
    coder = RowCoder.read(table.coder.text())
    assert coder.text() == table.coder.text()
    back = coder.decode(table.support())
    if kind is not K.COUNTER:
        pd.testing.assert_frame_equal(back, frame, check_exact=False, rtol=1e-5)
    made = coder.decode(noise(coder))
    assert (made.dtypes == frame.dtypes).all()
    column, real = made[name], frame[name]
    if kind in (K.BOOLEAN, K.CATEGORY, K.CONSTANT):
        assert set(column.dropna()) <= set(real.dropna())
    elif kind in (K.NUMBER, K.INTEGER) or (kind is K.DATE and column.dtype == real.dtype != object):
        assert real.min() <= column.min()
        assert column.max() <= real.max()
    if kind is K.INTEGER:
        assert (column.dropna() % 1 == 0).all()
    assert bool(column.isna().any()) == bool(real.isna().any())


@pytest.mark.parametrize(
    ("ids", "anew"),
    [
        ([7, 9, 11], [13, 15, 17, 19]),
        ([30, 20, 10], [40, 50, 60, 70]),
        (["A007", "A008", "A010"], ["A011", "A012", "A013", "A014"]),
        (["A098", "A099", "x"], ["id 1", "id 2", "id 3", "id 4"]),
        (["id 3", "id 7", "me"], ["id 8", "id 9", "id 10", "id 11"]),
        (np.array([125, 126, 127], dtype=np.int8), [128, 129, 130, 131]),
    ],
)
def test_a_counter_begins_after_the_last_one(ids: Any, anew: list[Any]) -> None:
    """An id of a real row would name somebody."""
    coder = Table.of(pd.DataFrame({"x": [0.5, 1.5, 2.5], "id": ids})).coder
    assert coder.decode(noise(coder, 4))["id"].tolist() == anew


def test_ids_of_a_part_are_none_of_the_whole() -> None:
    table = Table.of(tables.mixed(200).sample(frac=1, random_state=0))
    made = training_part(table, 0.2).coder.decode(table.support()[:50])  # type: ignore[attr-defined]
    assert not set(made["id"]) & set(table.frame()["id"])


def test_one_line_says_what_is_an_id_and_what_is_left_out() -> None:
    frame = pd.DataFrame({"x": [0.5, 1.5] * 20, "id": RUN, "note": [f"{i // 2}?" for i in RUN], "z": [1j] * 40})
    said = "not learnt but counted anew, as ids: id; left out: note .20 different values.*, z .holds complex values"
    with pytest.warns(TableWarning, match=said):
        coder = Table.of(frame, max_levels=10).coder
    assert [column.name for column in coder.columns] == ["x", "id"]


def test_numbers_keep_their_decimals() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60).round(1), "b": rng.normal(size=60).round(3), "c": rng.random(60)})
    frame["d"] = frame["b"].astype(np.float32)
    coder = Table.of(frame).coder
    assert [column.decimals for column in coder.columns] == [1, 3, None, 3]
    made = coder.decode(noise(coder))
    assert (made["a"].round(1) == made["a"]).all()
    assert made["d"].dtype == np.float32


@pytest.mark.parametrize("scaling", Scaling)
def test_bounds_are_kept_unless_asked_otherwise(scaling: Scaling) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200)})
    kept, free = (Table.of(frame, scaling=scaling, bounds=bounds).coder for bounds in (True, False))
    assert kept.decode(noise(kept))["x"].abs().max() <= frame["x"].abs().max()
    assert free.decode(noise(free))["x"].max() > frame["x"].max()
    beyond = pd.DataFrame({"x": [-9.0, 0.0, 9.0]})
    assert np.allclose(free.decode(free.encode(beyond))["x"], beyond["x"], atol=1e-4)


def test_shared_values_come_out_as_often_as_they_occur() -> None:
    """40 % of the numbers are the least one: a normal sample is decoded to it as often, and to no number beside it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"fee": np.where(rng.random(2000) < 0.4, 0.0, rng.gamma(2, 3, 2000)), "flag": RUN[:1].repeat(2000)}
    )
    frame["flag"] = rng.random(2000) < 0.1
    coder = Table.of(frame).coder
    made = coder.decode(torch.randn(20_000, coder.width, generator=torch.Generator().manual_seed(0)))
    assert (made["fee"] == 0).mean() == pytest.approx((frame["fee"] == 0).mean(), abs=0.02)
    assert made["flag"].mean() == pytest.approx(frame["flag"].mean(), abs=0.02)
    assert made["fee"].quantile(0.9) == pytest.approx(frame["fee"].quantile(0.9), rel=0.05)


def test_quantiles_are_those_of_sklearn_between_the_ends() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing", exc_type=ImportError)
    values = np.random.default_rng(0).gamma(2, size=(500, 1))
    ours = Table.of(pd.DataFrame(values, columns=["x"])).support().numpy()
    theirs = preprocessing.QuantileTransformer(n_quantiles=500, output_distribution="normal").fit_transform(values)
    inside = np.abs(theirs) < 2
    assert np.abs(ours - theirs)[inside].max() < 0.03


def test_categories_of_many_levels_take_one_coordinate() -> None:
    rng = np.random.default_rng(0)
    place = rng.integers(0, 60, 400)
    frame = pd.DataFrame({"x": place + rng.normal(size=400), "town": [f"town {(7 * p) % 60}" for p in place]})
    table = Table.of(frame)
    assert table.shape == (2,)
    # The order of the towns is that of the numbers beside them.
    assert abs(np.corrcoef(table.support().numpy().T)[0, 1]) > 0.9


def test_gaps_keep_a_columns_spread_and_its_correlations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    frame = pd.DataFrame({"x": x, "y": x + 0.3 * rng.normal(size=3000)})
    whole = np.corrcoef(Table.of(frame).support().numpy().T)[0, 1]
    frame.loc[rng.random(3000) < 0.3, "y"] = np.nan
    samples = Table.of(frame).support().numpy()
    assert np.corrcoef(samples[:, :2].T)[0, 1] == pytest.approx(whole, abs=0.02)
    assert samples[:, 1].std() == pytest.approx(1, abs=0.05)
    assert torch.equal(Table.of(frame).support(), Table.of(frame).support())


def test_marks_of_missing_values_fill_a_normal_law() -> None:
    """A rare mark far from the others is a step that a generator does not learn: it then makes no gap at all."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=2000)}).mask(rng.random((2000, 1)) < 0.05)
    coder = Table.of(frame).coder
    marks = coder.encode(frame).numpy()[:, 1]
    assert (abs(marks.mean()), marks.std()) == (pytest.approx(0, abs=0.05), pytest.approx(1, abs=0.05))
    assert marks[frame["x"].isna()].min() > marks[frame["x"].notna()].max()
    made = coder.decode(torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)))
    assert made["x"].isna().mean() == pytest.approx(frame["x"].isna().mean(), abs=0.01)


# --- tables


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_is_read_and_comes_back_as_pandas_reads_it(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path, tables.mixed(), ending)
    expected = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, sep=None, engine="python")
    table = Table(path=str(path))
    assert tables.equal(table.frame(), expected)
    assert tables.equal(without_id(table.coder.decode(table.support())), without_id(expected))


def test_training_and_held_out_rows_are_the_table() -> None:
    table = Table.of(tables.mixed(200))
    part = training_part(table, 0.2)
    assert isinstance(part, Table)
    rest = part.held_out()
    assert isinstance(rest, Table)
    assert rest.coder is part.coder
    assert rest.held_out() is None
    assert 0 < rest.count < part.count
    ids = sorted([*part.frame()["id"], *rest.frame()["id"]])
    assert ids == table.frame()["id"].tolist()
    assert rest.support().shape == (rest.count, *part.shape)
    # A row's side is its own affair.
    more = training_part(Table.of(pd.concat([tables.mixed(200), tables.mixed(60, seed=1)])), 0.2)
    assert set(part.frame()["id"]) <= set(more.frame()["id"])


def test_a_label_gives_the_classes_and_is_no_coordinate() -> None:
    frame = tables.mixed()
    plain, table = Table.of(frame), Table.of(frame, label="rooms")
    classes = table.classes()
    assert plain.classes() is None
    assert classes is not None
    assert classes.names == tuple(str(rooms) for rooms in sorted(frame["rooms"].unique()))
    assert [int(classes.names[i]) for i in classes.index] == frame["rooms"].tolist()
    assert "rooms" not in table.coder.decode(table.support())
    back = RowCoder.read(table.coder.text()).decode(table.support(), classes.index.numpy())
    assert tables.equal(without_id(back), without_id(frame))


NO_LABELS = [
    ("id", "'id' cannot be the label, it holds another value in each row, as ids do; choose one of: rooms, big, grade"),
    (
        "weight",
        "it holds 1.. different values in 200 rows, so that most classes would have one row; choose one of: rooms",
    ),
    ("colour", "missing values; fill them in, leave the rows out, or choose one of: rooms"),
    ("country", "one value in all rows; choose one of: rooms"),
    ("sold", "it holds 1.. different values in 200 rows"),
    ("none", "has no column of that name"),
]


@pytest.mark.parametrize(("label", "said"), NO_LABELS)
def test_what_cannot_be_a_label_is_refused(label: str, said: str) -> None:
    frame = tables.mixed(200).assign(grade=["a", "b", "c", "d"] * 50, weight=np.arange(200) % 150 + 0.5)
    input_error(said, lambda: Table.of(frame, label=label).classes())


def test_where_no_column_can_be_a_label_nothing_is_offered() -> None:
    frame = pd.DataFrame({"id": RUN, "x": RUN**2 / 7})
    input_error(r"no other column can; leave the label out \(--data.label null\)", Table.of(frame, label="id").classes)


def test_a_label_of_many_numbers_or_few_rows_is_told() -> None:
    frame = pd.DataFrame(
        {"age": np.arange(600) % 30, "town": [f"t{i // 4}" for i in range(600)], "x": RUN[:1].repeat(600)}
    )
    frame["grade"], frame["many"] = np.arange(600) % 5, np.arange(600) % 11
    said = (
        "the label 'age' has 30 classes in 600 rows, 20 rows a class: the order of its values is lost; .* without a l"
    )
    with pytest.warns(TableWarning, match=said):
        Table.of(frame, label="age").classes()
    with pytest.warns(
        TableWarning, match="'town' has 150 classes in 600 rows, 4 rows a class: each class is learnt .* 10$"
    ):
        Table.of(frame, label="town").classes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Table.of(frame, label="grade").classes() is not None
        assert Table.of(frame, label="many").classes() is not None
    # What is taken without a warning is offered.
    input_error("choose one of: grade, many$", Table.of(frame.assign(id=RUN[0] + np.arange(600)), label="id").classes)


def test_columns_are_chosen_and_codes_taken_for_categories() -> None:
    table = Table.of(tables.mixed(), columns=("rooms", "colour"), categories=("rooms",))
    assert {column.name: column.kind for column in table.coder.columns} == {"rooms": K.CATEGORY, "colour": K.CATEGORY}
    assert table.coder.blocks[0][0] == 0
    assert tables.equal(table.coder.decode(table.support()), tables.mixed()[["rooms", "colour"]])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.5, 2.5, 0.0, 1.0, 7.0]}),
        pd.DataFrame({"a": ["x", "y", "x", "y", "y"], "b": ["u", "u", "v", "v", "v"]}),
        pd.DataFrame({"größe [m²]": [1.5, 2.0, 9.0], "“n”": ["ü", "ü", "é"]}),
        pd.DataFrame({"a": [1, 2], "b": [None, "x"]}),
    ],
    ids=["five rows", "categories alone", "names of any letters", "two rows"],
)
def test_small_tables_go_through(frame: pd.DataFrame) -> None:
    table = Table.of(frame)
    coder = RowCoder.read(table.coder.text())
    assert coder.decode(table.support()).equals(frame)
    assert len(coder.decode(noise(coder, 7))) == 7


def test_two_thousand_columns_go_through() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 2000)), columns=[f"c{i}" for i in range(2000)])
    frame = frame.mask(frame > 2)
    table = Table.of(frame)
    assert table.support().isfinite().all()
    assert len(table.coder.text()) < 5_000_000
    assert (table.coder.decode(table.support()).isna() == frame.isna()).all(axis=None)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"a": [1.0, 1.0], "b": [None, None]}), "nothing to learn: .*'a' .constant"),
        (pd.DataFrame({"a": [1, 2, 3]}), "nothing to learn: .*'a' .counter"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "2 columns of one name: got 'a'"),
        (pd.DataFrame([[1, 2]]), "name is no text: got '0'"),
        (pd.DataFrame({"a": [1.5, np.inf]}), "column 'a' holds an infinite number: in row 1"),
        (pd.DataFrame(), "is empty"),
    ],
)
def test_what_cannot_be_learnt_is_said_in_one_line(frame: pd.DataFrame, said: str) -> None:
    input_error(said, lambda: Table.of(frame).coder)


def test_a_frame_is_what_table_of_takes() -> None:
    input_error("takes a frame of pandas, got dict", lambda: Table.of({"a": [1]}))


def test_rows_of_another_table_are_refused() -> None:
    coder = Table.of(tables.mixed()).coder
    input_error("the rows lack a column: 'rooms'", lambda: coder.encode(tables.mixed().drop(columns="rooms")))
    input_error("column 'size' holds other values", lambda: coder.encode(tables.mixed().assign(size="x")))
    input_error("samples of this table have", lambda: coder.decode(torch.zeros(3, 2)))


def test_the_example_has_every_kind_that_is_learnt() -> None:
    found = {column.kind for column in Table().coder.columns}
    assert found == {K.NUMBER, K.INTEGER, K.BOOLEAN, K.CATEGORY, K.DATE}


# --- the coder's text


def test_a_damaged_text_is_told_in_one_line() -> None:
    text = Table.of(tables.mixed()).coder.text()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        start, length = int(rng.integers(0, len(text))), int(rng.integers(1, 30))
        damaged = (
            text[:start] + str(rng.choice(["", "9", "[", "null", '"x"', "-1", "1e999", "{}"])) + text[start + length :]
        )
        try:
            coder = RowCoder.read(damaged)
            coder.decode(noise(coder, 3))
        except Exception as error:
            input_error(None, _raised, error)
            refused += 1
    assert refused > 250


def _raised(error: Exception) -> None:
    raise error


def test_rows_held_out_of_few_values_are_of_the_same_law() -> None:
    # Equal rows that stayed together would leave some of the 8 kinds of rows to training, and the others to the test.
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.choice(["x", "y"], 2000) for name in "abc"})
    part = training_part(Table.of(frame), 0.2)
    held_out = part.held_out()
    assert isinstance(part, Table)
    assert isinstance(held_out, Table)
    shares = [table.frame().value_counts(normalize=True) for table in (part, held_out)]
    assert len(shares[1]) == 8
    assert float((shares[0] - shares[1]).abs().sum()) / 2 < 0.1
    # A longer or sorted table keeps the split: the same number of each kind of rows is held out.
    again = training_part(Table.of(frame.sort_values([*"abc"]).reset_index(drop=True)), 0.2).held_out()
    assert isinstance(again, Table)
    assert again.frame().value_counts().sort_index().equals(held_out.frame().value_counts().sort_index())
