"""What `otgen train` does with data that are odd: it trains on them, or says what is wrong before its first step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from otgen.errors import FewDataWarning

Call = Callable[..., Any]
RNG = np.random.default_rng(0)
WORDS = ("--data", "Arrays", "--data.path", "x.npy", "--out", "run")
METHODS: dict[str, Callable[[Any], Any]] = {
    "pixel": lambda words: words,
    "learnt features": lambda words: (*words, "--method", "SinkhornAutoDiff", "--method.features", "3"),
    "cosine": lambda words: (*words, "--method", "OTGAN", "--method.features", "3"),
    "gradient penalty": lambda words: (*words[:-2], "--method", "WGANGP"),
}


def bad(shape: tuple[int, ...], at: tuple[int, ...], value: float) -> NDArray[Any]:
    array = RNG.normal(size=shape)
    array[at] = value
    return array


REFUSED: dict[str, tuple[NDArray[Any], str]] = {
    "NaN": (
        bad((40, 3), (7, 2), np.nan),
        "x.npy has 1 value(s) that are NaN or infinite: the first is nan at index [7, 2]",
    ),
    "infinite": (bad((40, 3), (0, 1), -np.inf), "the first is -inf at index [0, 1]"),
    "NaN in an image": (bad((40, 1, 4, 4), (39, 0, 3, 2), np.nan), "at index [39, 0, 3, 2]"),
    "too large": (bad((40, 3), (1, 1), 1e39), "beyond the range of float32"),
    "empty": (np.zeros((0, 3)), "is empty: got shape (0, 3)"),
    "without features": (np.zeros((3, 0)), "is empty: got shape (3, 0)"),
    "a number": (np.array(3.0), "is a single number: got shape ()"),
    "complex": (RNG.normal(size=(40, 3)) + 1j, "got dtype complex128"),
    "text": (np.array([["a", "b"]]), "got dtype <U1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_data_stops_a_run_before_its_first_step(name: str, refused: Call, tiny: Any) -> None:
    """Reliability 31 and 32: the message names the place, or the shape and the dtype, and nothing is trained."""
    array, said = REFUSED[name]
    np.save("x.npy", array)
    line = refused("train", *tiny, *WORDS, code=1)
    assert said in line
    assert "x.npy" in line
    assert "--debug" not in line  # an error that is meant
    assert not list(Path("run").glob("checkpoints/*"))
    log = Path("run", "metrics.jsonl")
    assert not log.exists() or "loss" not in log.read_text()


@pytest.mark.parametrize("kind", ["ragged", "dictionary"])
def test_objects_are_refused_without_being_loaded(kind: str, refused: Call, tiny: Any) -> None:
    """Reliability 32 and 37."""
    ragged = np.empty(2, dtype=object)
    ragged[:] = [[1, 2], [3]] if kind == "ragged" else [{}, {}]
    np.save("x.npy", ragged, allow_pickle=True)
    assert "holds Python objects, which are never loaded" in refused("train", *tiny, *WORDS, code=1)


SMALL: dict[str, NDArray[Any]] = {
    "1 sample": RNG.normal(size=(1, 3)),
    "1 feature": RNG.normal(size=(40, 1)),
    "1 dimension": RNG.normal(size=40),
    "fewer than a batch": RNG.normal(size=(5, 2)),
}
CONSTANT = np.column_stack([RNG.normal(size=40), np.full(40, 0.1)])
IDENTICAL, ZERO = np.full((40, 2), 3.0), np.zeros((40, 2))


@pytest.mark.parametrize("name", SMALL)
def test_small_sets_are_trained_on(name: str, otgen: Call, tiny: Any) -> None:
    """Reliability 32: batches larger than the set are drawn with replacement, and a warning says so."""
    np.save("x.npy", SMALL[name])
    few = len(SMALL[name]) < 12
    with pytest.warns(FewDataWarning, match=f"of {len(SMALL[name])} data") if few else contextlib.nullcontext():
        result = otgen("train", *tiny, *WORDS)
    assert result.code == 0, result.err
    _finite()


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_feature_makes_no_nan(method: str, otgen: Call, tiny: Any) -> None:
    """Reliability 34."""
    np.save("x.npy", CONSTANT)
    result = otgen("train", *METHODS[method](tiny), *WORDS)
    assert result.code == 0, result.err
    _finite()


@pytest.mark.parametrize(("method", "array"), [("pixel", IDENTICAL), ("cosine", ZERO)], ids=["identical", "zero"])
def test_identical_points_make_no_nan(method: str, array: NDArray[Any], otgen: Call, tiny: Any) -> None:
    """Reliability 34: also zeros, whose cosine is undefined."""
    np.save("x.npy", array)
    result = otgen("train", *METHODS[method](tiny), *WORDS)
    _finite()
    assert result.code == 0, result.err


def _finite() -> None:
    """Every number that was logged is one: a NaN is written as null."""
    lines = Path("run", "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert any(record.get("step") == 4 for record in records)
    for record in records:
        assert all(value is not None for key, value in record.items() if "loss" in key), record
