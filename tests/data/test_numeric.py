from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cases.errors import input_error
from otgen.data import numeric
from otgen.data.numeric import check_numeric, moments, to_float32

VALUES = np.arange(24.0).reshape(6, 4) * 3 + 1


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of four numbers a block, so that every test crosses blocks."""
    monkeypatch.setattr(numeric, "_BLOCK_BYTES", 64)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def forms(folder: Path) -> dict[str, NDArray[Any]]:
    np.save(folder / "x.npy", VALUES)
    wide = np.zeros((6, 8))
    wide[:, ::2] = VALUES
    flipped = np.ascontiguousarray(VALUES[::-1])[::-1]
    assert flipped.strides[0] < 0
    types = ("float64", "float32", "float16", "int8", "uint8", "uint64", ">f8", "longdouble")
    return {name: VALUES.astype(name) for name in types} | {
        "F-order": np.asfortranarray(VALUES),
        "strided": wide[:, ::2],
        "negative strides": flipped,
        "read-only": read_only(VALUES.copy()),
        "memory map": np.load(folder / "x.npy", mmap_mode="r"),
        "broadcast": np.broadcast_to(VALUES, (6, 4)),
    }


def test_every_form_of_the_same_numbers_gives_the_same_points(tmp_path: Path) -> None:
    for name, array in forms(tmp_path).items():
        before = np.array(array)
        points = check_numeric(array, "x")
        out = to_float32(points, None, "x")
        assert (out.dtype, out.flags.c_contiguous, out.flags.writeable) == (np.float32, True, True), name
        assert not np.shares_memory(out, array), name
        assert np.array_equal(out, VALUES), name
        standard = to_float32(points, moments(points, 1.0, "x"), "x")
        np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-6, err_msg=name)
        assert np.array_equal(before, array), name


def test_booleans_are_zeros_and_ones() -> None:
    assert to_float32(check_numeric(np.array([[True, False]]), "x"), None, "x").tolist() == [[1.0, 0.0]]


def test_a_vector_is_points_on_the_line() -> None:
    assert check_numeric(np.arange(5), "x").shape == (5, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, 2], [3]], dtype=object), "dtype object; rows of unequal length"),
        (np.ones((2, 2), dtype=complex), "dtype complex128; store real and imaginary parts"),
        (np.array(["a", "b"]), "got dtype <U1; convert it"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
        (np.zeros(3, dtype=[("a", float)]), "not an array of real numbers"),
        (np.array(1.0), r"single number: got shape \(\)"),
        (np.zeros((0, 3)), r"empty: got shape \(0, 3\)"),
        (np.zeros((3, 0)), r"empty: got shape \(3, 0\)"),
        (np.zeros(0), r"empty: got shape \(0,\)"),
    ],
)
def test_what_is_not_points_is_refused(array: NDArray[Any], message: str) -> None:
    assert input_error(message, check_numeric, array, "the file").startswith("the file")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_first_bad_value_is_named_and_all_are_counted(bad: float, dtype: type) -> None:
    array: NDArray[Any] = VALUES.astype(dtype)
    array[3, 2] = array[4, 0] = array[5, 1] = bad
    input_error(rf"x has 3 value\(s\) .*: the first is {bad} at index \[3, 2\]", check_numeric, array, "x")
    input_error(r"row 3 \(counted from 0\), column 'c'", check_numeric, array, "x", list("abcd"))


def test_the_index_of_a_bad_value_has_every_dimension() -> None:
    array: NDArray[Any] = np.zeros((5, 2, 3))
    array[4, 1, 2] = np.nan
    input_error(r"index \[4, 1, 2\]", check_numeric, array, "x")


def test_what_float32_cannot_hold_is_refused() -> None:
    array = VALUES.copy()
    array[1, 3] = -1e300
    input_error(r"1 value\(s\) beyond the range of float32: the first at index \[1, 3\]", to_float32, array, None, "x")


def test_a_constant_coordinate_becomes_zero() -> None:
    # The mean of 0.1 is not exactly 0.1: dividing by a spread of 1e-17 would make noise of nothing.
    for n in range(2, 40):
        array = np.column_stack([np.full(n, 0.1), np.arange(float(n))])
        affine = moments(array, 1.0, "x")
        assert (to_float32(array, affine, "x")[:, 0] == 0).all()
        assert affine.std[0] == 1


def test_one_point_is_standardised_to_zero() -> None:
    one = np.array([[3.0, 4.0]])
    assert to_float32(one, moments(one, 1.0, "x"), "x").tolist() == [[0.0, 0.0]]


def test_standardising_keeps_what_float32_would_lose() -> None:
    # Seconds since 1970: neighbours differ by less than float32 resolves at 1.7e9.
    seconds = 1.7e9 + np.arange(10.0)[:, None]
    assert len(np.unique(to_float32(seconds, moments(seconds, 1.0, "x"), "x"))) == 10


def test_a_variance_beyond_float64_is_refused() -> None:
    huge = np.array([[1e300], [-1e300]])
    input_error(r"cannot be standardised: got values up to 1e\+300", moments, huge, 1.0, "x")
    moments(huge, 1e-200, "x")


def test_the_map_can_be_inverted() -> None:
    affine = moments(VALUES, -0.5, "x")
    np.testing.assert_allclose(affine.invert(affine.apply(VALUES)), VALUES, rtol=1e-12)
