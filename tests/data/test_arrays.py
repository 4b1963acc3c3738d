from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cases.errors import NO_PERMISSION, input_error
from cases.hostile import header
from otgen.cli.usage import array as array_of_solve
from otgen.data import Arrays, RowCoder, fingerprint
from otgen.errors import ScaleWarning

VALUES = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)


def save(folder: Path, array: Any, name: str = "x.npy", *, allow_pickle: bool = False) -> str:
    np.save(folder / name, array, allow_pickle=allow_pickle)
    return str(folder / name)


def test_npy_values_are_kept(tmp_path: Path) -> None:
    source = Arrays(path=save(tmp_path, VALUES))
    assert (source.shape, source.count, source.value_range) == ((6,), 20, None)
    assert np.array_equal(source.support().numpy(), VALUES)


def test_the_bytes_of_images_are_kept_unless_scaled(tmp_path: Path) -> None:
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 1, 3, 3), dtype=np.uint8)
    path = save(tmp_path, bytes_)
    assert np.array_equal(Arrays(path=path).support().numpy(), bytes_)
    scaled = Arrays(path=path, scale=1 / 255)
    np.testing.assert_allclose(scaled.support().numpy(), bytes_ / 255, rtol=1e-6)
    assert scaled.shape == (1, 3, 3)


def test_fortran_order_makes_no_difference(tmp_path: Path) -> None:
    assert np.array_equal(Arrays(path=save(tmp_path, np.asfortranarray(VALUES))).support().numpy(), VALUES)


def test_the_file_is_never_written_to(tmp_path: Path) -> None:
    path = Path(save(tmp_path, VALUES))
    before = path.read_bytes()
    path.chmod(0o444)
    Arrays(path=str(path)).support().mul_(2)
    assert path.read_bytes() == before


def test_samples_survive_the_file(tmp_path: Path) -> None:
    path = Path(save(tmp_path, VALUES))
    source = Arrays(path=str(path))
    source.support()
    path.unlink()
    assert np.array_equal(source.support().numpy(), VALUES)


def test_rows_can_be_given_a_shape(tmp_path: Path) -> None:
    source = Arrays(path=save(tmp_path, VALUES), sample_shape=(1, 2, 3))
    assert source.shape == (1, 2, 3)
    assert np.array_equal(source.support().numpy(), VALUES.reshape(20, 1, 2, 3))


def test_standardised_samples_can_be_restored(tmp_path: Path) -> None:
    raw = VALUES.astype(np.float64) * 1000 + 5000
    source = Arrays(path=save(tmp_path, raw), standardise=True, scale=0.1, sample_shape=(2, 3))
    points = source.support()
    flat = points.reshape(20, 6)
    torch.testing.assert_close(flat.mean(dim=0), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(flat.std(dim=0, correction=0), torch.ones(6))
    restored = source.restore(points)
    assert restored.shape == points.shape
    np.testing.assert_allclose(restored.reshape(20, 6).numpy(), raw, rtol=1e-6)


def test_restoring_undoes_the_scale_alone(tmp_path: Path) -> None:
    path = save(tmp_path, VALUES)
    scaled = Arrays(path=path, scale=4.0)
    np.testing.assert_allclose(scaled.restore(scaled.support()).numpy(), VALUES, rtol=1e-6)
    plain = Arrays(path=path)
    assert torch.equal(plain.restore(plain.support()), plain.support().double())


@pytest.mark.parametrize("standardise", [False, True])
def test_all_points_equal_make_no_nan(tmp_path: Path, standardise: bool) -> None:
    source = Arrays(path=save(tmp_path, np.full((5, 2), 0.1)), standardise=standardise)
    assert source.support().isfinite().all()


@pytest.mark.parametrize("array", [np.arange(5), np.zeros((1, 1)), np.zeros((1, 2, 3))])
def test_small_sets_are_legal(tmp_path: Path, array: Any) -> None:
    source = Arrays(path=save(tmp_path, array))
    assert source.count == len(array)
    assert source.sample(9, torch.Generator()).shape == (9, *source.shape)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(3.0), "single number"),
        (np.zeros((0, 2)), "is empty"),
        (np.ones((2, 2), dtype=complex), "complex128"),
        (np.array(["a"]), "not an array of real numbers"),
        (np.array([[1.0, np.nan]]), r"the first is nan at index \[0, 1\]"),
        (np.array([[1.0, 1e39]]), "beyond the range of float32"),
    ],
)
def test_an_array_that_is_not_points_is_refused(tmp_path: Path, array: Any, message: str) -> None:
    path = save(tmp_path, array)
    assert path in input_error(message, Arrays(path=path).support)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    ragged = np.empty(2, dtype=object)
    ragged[:] = [[1, 2], [3]]
    path = save(tmp_path, ragged, allow_pickle=True)
    input_error("Python objects, which are never loaded", Arrays(path=path).support)
    np.savez(tmp_path / "x.npz", x=ragged)
    input_error("Python objects, which are never loaded", Arrays(path=str(tmp_path / "x.npz")).support)


def test_damaged_npy_is_explained(tmp_path: Path) -> None:
    path = Path(save(tmp_path, VALUES))
    whole = path.read_bytes()
    liar = whole.replace(b"(20, 6)", b"(99999999999999999999, 6)")
    for content in (b"", b"text", whole[:5], whole[:50], whole[:-7], liar, b"PK" + whole[2:]):
        path.write_bytes(content)
        input_error(r"save it anew|not an array", Arrays(path=str(path)).support)


def test_npz_with_one_array_needs_no_key(tmp_path: Path) -> None:
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", only=VALUES)
        assert np.array_equal(Arrays(path=str(tmp_path / "x.npz")).support().numpy(), VALUES)


def test_npz_with_several_arrays_needs_a_key(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    np.savez(path, x=VALUES, y=VALUES[:3])
    assert Arrays(path=path, key="y").count == 3
    input_error("several arrays: got no key for .*; set key to one of: x, y", Arrays(path=path).support)
    input_error("no array of that name: got 'z' .* one of: x, y", Arrays(path=path, key="z").support)


def test_a_bad_value_in_an_archive_is_named_with_its_key(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    np.savez(path, x=np.array([1.0, np.inf]), y=VALUES)
    input_error(r"x\.npz\[x\] has 1 value", Arrays(path=path, key="x").support)


def test_damaged_npz_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=VALUES)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:-40], whole[:60], whole[:80] + bytes(60) + whole[140:]):
        path.write_bytes(content)
        input_error("save it anew", Arrays(path=str(path)).support)


def test_an_archive_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    input_error("not an array", Arrays(path=str(path)).support)
    np.savez(path)
    input_error("holds no array", Arrays(path=str(path)).support)


def test_a_name_that_lies_is_refused(tmp_path: Path) -> None:
    Path(save(tmp_path, VALUES)).rename(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x=VALUES)
    (tmp_path / "y.npz").rename(tmp_path / "y.npy")
    for name in ("x.npz", "y.npy"):
        input_error("not what its name says", Arrays(path=str(tmp_path / name)).support)


def test_columns_of_an_array_are_chosen_by_position(tmp_path: Path) -> None:
    path = save(tmp_path, VALUES)
    assert np.array_equal(Arrays(path=path, columns=("4", "0")).support().numpy(), VALUES[:, [4, 0]])
    path = save(tmp_path, VALUES.reshape(20, 2, 3))
    input_error("only a table has columns", Arrays(path=path, columns=("0",)).support)


def test_csv_and_parquet_give_the_same_points(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs otgen[tables]", exc_type=ImportError)
    import pyarrow

    rows = "\n".join(f"{i},{i * i / 7!r},k{i}" for i in range(9))
    (tmp_path / "t.csv").write_text(f"x,y,name\n{rows}\n")
    table = pyarrow.table({"name": [f"k{i}" for i in range(9)], "y": [i * i / 7 for i in range(9)], "x": range(9)})
    pq.write_table(table, tmp_path / "t.parquet")
    paths = (str(tmp_path / name) for name in ("t.csv", "t.parquet"))
    one, two = (Arrays(path=path, columns=("y", "x"), standardise=True) for path in paths)
    assert torch.equal(one.support(), two.support())
    assert one.shape == (2,)


def test_a_nan_in_a_table_is_named_by_its_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n3,nan\n")
    named = r"1 value\(s\) .* nan at row 1 \(counted from 0\), column 'y'"
    input_error(named, Arrays(path=str(tmp_path / "t.csv")).support)


def test_missing_and_unknown_files_are_explained(tmp_path: Path) -> None:
    input_error(r"data file is missing: got none\.npy", Arrays(path="none.npy").support)
    (tmp_path / "folder.npy").mkdir()
    input_error("use ImageFolder", Arrays(path=str(tmp_path / "folder.npy")).support)
    input_error(r"ends in \.npy, \.npz, \.csv, \.parquet", Arrays(path="x.pkl").support)


def test_a_file_that_cannot_be_opened_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, VALUES)
    monkeypatch.setattr(os, "open", NO_PERMISSION)  # root may read anything, so chmod proves nothing
    input_error("Permission denied", Arrays(path=path).support)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 0.0}, "scale would erase the data"),
        ({"scale": float("nan")}, "scale is not a finite number"),
        ({"sample_shape": (0, 2)}, "sample_shape has a size below 1"),
        ({"sample_shape": (-1,)}, "sample_shape has a size below 1"),
    ],
)
def test_impossible_options_are_refused(fields: dict[str, Any], message: str) -> None:
    input_error(message, Arrays, path="x.npy", **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_shape": (2, 2)}, r"got \(2, 2\) for points of shape \(6,\); give one with 6 elements"),
        ({"columns": ("6",)}, "has no column of that name: got '6'"),
        ({"key": "x"}, "only an .npz has keys"),
    ],
)
def test_options_that_do_not_fit_the_array_are_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    input_error(message, Arrays(path=save(tmp_path, VALUES), **fields).support)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"NUMPY\x01\x00", b"NUMPY\x01\x01"),  # no such version
        (b"NUMPY\x01\x00", b"NUMPY\x04\x00"),
        (b"6), }", b"6),\xa0}"),  # no blank in Python
        (b"'shape': (20, 6)", b"'descr': (20, 6)"),
        (b"(20, 6)", b"(20  6)"),
        (b"False", b"'<f4'"),
        (b"'<f4'", b"False"),
        (b"'<f4'", b"'<f5'"),
        (b"'<f4'", b"'<m8'"),
    ],
)
def test_what_is_not_quite_a_header_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = Path(save(tmp_path, VALUES))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    input_error("cannot be read|not an array of real numbers", Arrays(path=str(path)).support)


def test_the_headers_of_every_writer_are_read(tmp_path: Path) -> None:
    """Python 2 wrote long integers; other languages order and quote as they like."""
    body = VALUES.astype("<f4").tobytes()
    texts = (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (20L, 6L), }",
        '{"shape":(20,6),"fortran_order":False,"descr":"<f4"}',
        "{'shape': ( 20 ,\n 6 ,) , 'fortran_order' : False , 'descr' : '<f4' }   \n",
    )
    for text in texts:
        for version in (b"\x01\x00", b"\x02\x00"):
            (tmp_path / "x.npy").write_bytes(header(text, version) + body)
            assert np.array_equal(Arrays(path=str(tmp_path / "x.npy")).support().numpy(), VALUES)


def test_records_are_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, np.zeros(3, dtype=[("a", float), ("b", int)]))
    input_error("not an array of real numbers: got records", Arrays(path=path).support)


FORMS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "F-order": np.asfortranarray,
    "non-contiguous": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "negative strides": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "big-endian": lambda x: x.astype(">f8"),
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"standardise": True}, {"scale": 0.5}, {"columns": ("2", "0")}])
def test_the_form_of_the_numbers_changes_nothing(form: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Reliability 35: equal data, whose fingerprints are equal, and a file that is left as it was, for both readers."""
    values = np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.float64)
    plain, other = (
        Path(save(tmp_path, array, name)) for array, name in ((values, "x.npy"), (FORMS[form](values), "y.npy"))
    )
    other.chmod(0o444)
    before = other.read_bytes()
    sources = [Arrays(path=str(path), **options) for path in (plain, other)]
    assert torch.equal(sources[0].support(), sources[1].support())
    assert fingerprint(sources[0]) == fingerprint(sources[1])
    sources[1].support().zero_()
    array_of_solve(other).zero_()
    assert torch.equal(array_of_solve(other).double(), torch.from_numpy(values))
    assert other.read_bytes() == before


def test_columns_whose_scales_hide_each_other_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3)) * np.array([1.0, 500.0, 20.0])
    path = tmp_path / "x.csv"
    path.write_text("age,income,height\n" + "\n".join(",".join(map(str, row)) for row in values.tolist()))
    said = r"'age' is 1\.\d+ and that of 'income' .*--data.standardise true"
    with pytest.warns(ScaleWarning, match=said):
        Arrays(path=str(path)).support()
    # Neither of these is hidden, nor is a constant column beside any other.
    Arrays(path=str(path), standardise=True).support()
    Arrays(path=str(path), columns=("age", "height")).support()
    np.save(tmp_path / "x.npy", np.stack([values[:, 1], np.full(50, 3.0)], axis=1))
    Arrays(path=str(tmp_path / "x.npy")).support()


def test_units_are_those_of_restore(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(40, 2, 3)) * 7 + 3
    np.save(tmp_path / "x.npy", points)
    data = Arrays(path=str(tmp_path / "x.npy"), standardise=True, scale=-0.5)
    coder = data.units()
    assert coder is not None
    samples = data.support()
    values = RowCoder.read(coder.text()).numbers(samples.flatten(1)).reshape(points.shape)
    assert np.allclose(values, data.restore(samples).numpy())
    assert np.allclose(values, points, atol=1e-5)
    assert Arrays(path=str(tmp_path / "x.npy")).units() is None
