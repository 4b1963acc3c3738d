from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from cases.checkpoints import Payload
from cases.runs import Call

PRINTED = re.compile(r"value=(\S+) in \[(\S+), (\S+)\]")


@pytest.fixture(scope="module")
def pot() -> Any:
    """POT, which takes a second to import: only where these tests run."""
    return importlib.import_module("ot")


@pytest.fixture
def clouds() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    x, y = chance.normal(size=(9, 3)), chance.normal(size=(9, 3)) + 0.5
    np.save("x.npy", x)
    np.save("y.npy", y)
    return x, y


def _numbers(result: Any) -> tuple[float, float, float]:
    assert (result.code, result.err) == (0, "")
    assert result.out.count("\n") == 1
    match = PRINTED.match(result.out)
    assert match is not None, result.out
    return float(match[1]), float(match[2]), float(match[3])


@pytest.mark.parametrize(
    ("cost", "metric"), [("SqEuclidean", "sqeuclidean"), ("L1", "cityblock"), ("Cosine", "cosine")]
)
def test_the_exact_value(cost: str, metric: str, clouds: Any, otgen: Call, pot: Any) -> None:
    value, low, high = _numbers(otgen("solve", "x.npy", "y.npy", "--cost", cost, "--reg", "NoReg"))
    costs = pot.dist(*clouds, metric=metric)
    matched = costs[linear_sum_assignment(costs)].mean()
    assert value == pytest.approx(matched, rel=1e-9)
    assert value == pytest.approx(pot.emd2([], [], costs), rel=1e-9)
    assert low - 1e-9 <= matched <= high + 1e-9


@pytest.mark.parametrize("eps", [0.3, 2.0])
def test_the_entropic_value(eps: float, clouds: Any, otgen: Call, pot: Any) -> None:
    result = otgen("solve", "x.npy", "y.npy", "--eps", eps, "--tol", "1e-6")
    value, low, high = _numbers(result)
    costs = pot.dist(*clouds)
    plan = pot.sinkhorn([], [], costs, eps, numItermax=100_000, stopThr=1e-13)
    exact = float((plan * costs).sum() + eps * (plan * np.log(plan * 81)).sum())
    assert value == pytest.approx(exact, rel=1e-4)
    assert low * (1 - 1e-4) <= exact <= high * (1 + 1e-4)
    assert f"eps {eps:g}" in result.out


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # POT's, of scipy
def test_the_quadratic_value(clouds: Any, otgen: Call, pot: Any) -> None:
    value, *_ = _numbers(otgen("solve", "x.npy", "y.npy", "--reg", "Quadratic", "--eps", "2", "--tol", "1e-5"))
    costs = pot.dist(*clouds)
    # POT's term is reg/2 |plan|^2; ours is the density's square against a (x) b.
    even = np.full(9, 1 / 9)
    plan = pot.smooth.smooth_ot_dual(even, even, costs, 2.0 * 81, reg_type="l2", stopThr=1e-12)
    assert value == pytest.approx(float((plan * costs).sum() + 81 * (plan**2).sum()), rel=1e-3)


def test_the_relative_weight_is_the_default(clouds: Any, otgen: Call, pot: Any) -> None:
    mean = pot.dist(*clouds).mean()
    for words in ((), ("--eps", "0.05*mean")):
        result = otgen("solve", "x.npy", "y.npy", *words)
        assert result.out.endswith(f"eps {0.05 * mean:.4g}\n")
    assert otgen("solve", "x.npy", "y.npy", "--eps", "0.5*mean").out.endswith(f"eps {0.5 * mean:.4g}\n")


def test_the_divergence(clouds: Any, otgen: Call, pot: Any) -> None:
    value, low, high = _numbers(otgen("solve", "x.npy", "y.npy", "--eps", "1", "--debiased", "--tol", "1e-6"))
    x, y = clouds

    def entropic(a: np.ndarray, b: np.ndarray) -> float:
        costs = pot.dist(a, b)
        plan = pot.sinkhorn([], [], costs, 1.0, numItermax=100_000, stopThr=1e-13)
        return float((plan * costs).sum() + (plan * np.log(plan * 81)).sum())

    exact = entropic(x, y) - entropic(x, x) / 2 - entropic(y, y) / 2
    assert value == pytest.approx(exact, abs=1e-3)
    assert low - 1e-3 <= exact <= high + 1e-3
    same, *_ = _numbers(otgen("solve", "x.npy", "x.npy", "--eps", "1", "--debiased"))
    assert same == pytest.approx(0, abs=1e-6)


def test_a_missed_tolerance_has_an_exit_code_of_its_own(clouds: Any, otgen: Call) -> None:
    result = otgen("solve", "x.npy", "y.npy", "--max-steps", "1", "--tol", "1e-9")
    assert (result.code, result.err) == (3, "")
    assert "not converged" in result.out


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint8, np.bool_, np.float16, ">f8"], ids=str)
def test_numbers_of_any_kind_are_read(kind: Any, otgen: Call) -> None:
    np.save("x.npy", np.array([[0, 1], [1, 0], [1, 1]]).astype(kind))
    np.save("y.npy", np.array([[1, 1], [0, 0], [1, 0]]).astype(kind))
    value, *_ = _numbers(otgen("solve", "x.npy", "y.npy", "--reg", "NoReg"))
    assert value == pytest.approx(1 / 3, rel=1e-5)


def test_memory_layout_does_not_matter(clouds: Any, otgen: Call) -> None:
    expected = otgen("solve", "x.npy", "y.npy").out
    np.save("x.npy", np.asfortranarray(clouds[0]))
    assert otgen("solve", "x.npy", "y.npy").out == expected


@pytest.mark.parametrize("name", ["missing", "text", "empty file", "archive", "objects", "complex", "strings"])
def test_bad_files_are_one_line(name: str, clouds: Any, refused: Call) -> None:
    file = Path("bad.npy")
    writers: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "text": lambda: file.write_text("1 2 3"),
        "empty file": lambda: file.write_bytes(b""),
        "archive": lambda: np.savez("bad.npz", a=clouds[0], b=clouds[1]),
        "objects": lambda: np.save(file, np.array([{}, {}], dtype=object), allow_pickle=True),
        "complex": lambda: np.save(file, clouds[0] + 1j),
        "strings": lambda: np.save(file, np.array([["a"]])),
    }
    writers[name]()
    path = "bad.npz" if name == "archive" else "bad.npy"
    line = refused("solve", path, "y.npy", code=1)
    assert path in line
    assert "--debug" not in line  # an error that is meant


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 3), np.nan), "NaN"),
        (np.array([[0.0, 1.0, np.inf]]), "infinite"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros((4, 2)), "(4, 2)"),
        (np.zeros(3), "(3,)"),
        (np.float64(3.0), "()"),
    ],
    ids=["nan", "inf", "empty", "other dimension", "one dimension", "a number"],
)
def test_bad_points_are_one_line(values: Any, said: str, clouds: Any, refused: Call) -> None:
    np.save("bad.npy", values)
    line = refused("solve", "bad.npy", "y.npy", code=1)
    assert said in line
    assert "--debug" not in line


BAD_OPTIONS = {"--eps abc": "--eps must be", "--eps 0": "0", "--eps -1": "-1", "--eps nan": "nan", "--reg L2": "L2"}
BAD_OPTIONS |= {"--eps x*mean": "0.05*mean", "--reg NoReg --eps 1": "--eps means nothing to NoReg"}
BAD_OPTIONS |= {"--tol -1": "tol must be at least 0", "--max-steps -1": "-1", "--cost Euclid": "Euclid"}
BAD_OPTIONS |= {"--cots L1": "--cost"}


@pytest.mark.parametrize(("words", "said"), BAD_OPTIONS.items())
@pytest.mark.parametrize("command", ["solve", "crosscheck"])
def test_bad_options_are_one_line(command: str, words: str, said: str, clouds: Any, otgen: Call) -> None:
    result = otgen(command, "x.npy", "y.npy", *words.split())
    assert result.code in (1, 2)
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert said in result.err


def test_a_pickle_is_never_read(clouds: Any, refused: Call, tmp_path: Path) -> None:
    harm = Payload(tmp_path / "executed")
    Path("bad.npy").write_bytes(pickle.dumps(harm))
    assert "bad.npy" in refused("solve", "bad.npy", "y.npy", code=1)
    np.save("bad.npy", np.array([harm], dtype=object), allow_pickle=True)
    (tmp_path / "executed").unlink(missing_ok=True)
    assert "bad.npy" in refused("solve", "bad.npy", "y.npy", code=1)
    assert not (tmp_path / "executed").exists()
