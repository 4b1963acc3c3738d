from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases.errors import NO_SPACE
from cases.runs import Call, Says
from otgen.train import checkpoint


def _samples(name: str) -> np.ndarray:
    with np.load(name, allow_pickle=False) as archive:
        assert archive.files == ["samples"]
        return archive["samples"]


def test_an_array_of_samples(trained: Path, otgen: Call) -> None:
    result = otgen("sample", trained, "--n", "7", "--out", "s.npz")
    assert (result.code, result.out, result.err) == (0, "s.npz\n", "")
    samples = _samples("s.npz")
    assert (samples.shape, samples.dtype) == ((7, 2), np.float32)
    assert np.isfinite(samples).all()
    assert {p.name for p in Path().iterdir()} == {"s.npz", "trained"}


def test_seeds_and_weights_count(trained: Path, otgen: Call) -> None:
    for name, words in {"a": (), "b": ("--seed", "0"), "c": ("--seed", "1"), "d": ("--raw",)}.items():
        assert otgen("sample", trained, "--n", "5", *words, "--out", f"{name}.npz").code == 0
    assert np.array_equal(_samples("a.npz"), _samples("b.npz"))
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert not np.array_equal(_samples("a.npz"), _samples("c.npz"))
    assert not np.array_equal(_samples("a.npz"), _samples("d.npz"))


@pytest.mark.usefixtures("pixels")
def test_a_hundred_by_default_as_a_picture(trained: Path, otgen: Call) -> None:
    assert otgen("sample", trained, "--out", "s.npz").code == 0
    assert len(_samples("s.npz")) == 100
    assert otgen("sample", trained, "--out", "s.png").code == 0
    with Image.open("s.png") as picture:
        assert picture.size == (720, 720)


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize("name", ["s.npz", "s.png"])
def test_a_file_is_not_overwritten_without_force(name: str, trained: Path, otgen: Call, refused: Call) -> None:
    Path(name).write_text("precious")
    line = refused("sample", trained, "--out", name, code=1)
    assert line == f"otgen sample: {name} exists; choose another --out, or overwrite it with --force"
    assert Path(name).read_text() == "precious"
    assert otgen("sample", trained, "--out", name, "--force").code == 0
    assert Path(name).read_bytes()[:2] in (b"PK", b"\x89P")


REFUSED = {"--out s.txt": "must end in .png, .npz,", "--out s": "make no folder of pictures"}
REFUSED |= {"--out s.npz --n 0": "--n must be at least 1", "--out s.npz --seed -1": "--seed must be at least 0, got -1"}
REFUSED |= {"--out trained/env.json/s.npz": "trained/env.json cannot be made: "}
REFUSED |= {"--out new/below/s.npz --label a": "not conditioned on labels"}


@pytest.mark.parametrize(("words", "said"), REFUSED.items())
def test_what_cannot_be_sampled(words: str, said: str, trained: Path, refused: Call) -> None:
    assert said in refused("sample", trained, *words.split(), code=1 if "/s.npz" in words else 2)
    assert {p.name for p in Path().iterdir()} == {"trained"}


def test_the_folder_of_the_file_is_made(trained: Path, otgen: Call) -> None:
    for command, file in (("sample", "new/below/s.npz"), ("export", "made/g.pt2")):
        result = otgen(command, trained, "--out", file)
        assert (result.code, result.out.splitlines()[0]) == (0, file)
        assert Path(file).is_file()


@pytest.mark.parametrize("command", [("sample", "--out", "s.npz"), ("eval",)])
def test_what_is_no_run(command: tuple[str, ...], refused: Call) -> None:
    Path("file").write_text("x")
    for name in ("nowhere", "file", "."):
        assert "is no run directory" in refused(command[0], name, *command[1:], code=1)


def test_samples_of_many_dimensions_make_no_picture_and_need_no_data(otgen: Call, refused: Call, tiny: Any) -> None:
    np.save("points.npy", np.random.default_rng(0).normal(size=(30, 5)))
    assert otgen("train", *tiny, "--data", "Arrays", "--data.path", "points.npy", "--out", "run").code == 0
    line = refused("sample", "run", "--out", "s.png", code=2)
    assert "samples of shape (5,) make no picture; write them to a .csv, .parquet, .npy or .npz" in line
    assert otgen("sample", "run", "--out", "before.npz").code == 0
    Path("points.npy").unlink()
    assert otgen("sample", "run", "--out", "after.npz").code == 0
    assert np.array_equal(_samples("before.npz"), _samples("after.npz"))
    assert "points.npy" in refused("eval", "run", code=1)


def test_images_stay_in_their_range(otgen: Call) -> None:
    words = ("--scale", "smoke", "--steps", "2", "--data.pixel_range", "symmetric", "--trainer.eval_samples", "30")
    assert otgen("train", "digits", *words, "--out", "run").code == 0
    assert otgen("sample", "run", "--out", "s.npz", "--n", "6").code == 0
    samples = _samples("s.npz")
    assert samples.shape == (6, 1, 28, 28)
    assert -1 <= samples.min() < 0
    assert samples.max() <= 1
    assert otgen("sample", "run", "--out", "s.png", "--n", "6").code == 0
    with Image.open("s.png") as picture:
        assert (picture.mode, picture.size) == ("L", (3 * 86 + 2, 2 * 86 + 2))


def test_a_damaged_checkpoint_is_one_line(trained: Path, refused: Call) -> None:
    file = checkpoint.newest(trained / "checkpoints") / "generator_ema.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "generator_ema.safetensors is damaged" in refused("sample", trained, "--out", "s.npz", code=1)
    assert "generator_ema.safetensors is damaged" in refused("eval", trained, code=1)


def test_a_failed_write_leaves_nothing(trained: Path, refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "savez", NO_SPACE)
    assert "No space left on device" in refused("sample", trained, "--out", "s.npz", code=1)
    assert {p.name for p in Path().iterdir()} == {"trained"}


def test_an_evaluation_is_printed_and_kept(trained: Path, otgen: Call, succeeds: Says) -> None:
    out = succeeds("eval", trained, "--n", "20", "--seed", "3")
    assert f"Metrics: {trained}/eval/step_00000004.json" in out
    kept = json.loads((trained / "eval/step_00000004.json").read_text())
    assert (kept["samples"], kept["seed"], kept["weights"]) == (20, 3, "ema")
    assert f"{kept['w1_matched']:.4g}" in out
    assert otgen("eval", trained, "--raw").code == 0


def test_the_samples_come_first_with_intervals_and_the_theory_last(trained: Path, succeeds: Says) -> None:
    lines = succeeds("eval", trained).splitlines()
    places = [
        next(k for k, line in enumerate(lines) if line.startswith(start))
        for start in ("Wasserstein-1 distance", "Protocol: ", "Verdict: ", "Next (", "Metrics: ", "Of the theory, ")
    ]
    assert places == sorted(places)
    assert re.search(r"exact +[\d.]+ \[[\d.]+, [\d.]+\] +[\d.]+", lines[places[0]])
    theory = lines[places[-1] + 1 :]
    assert theory
    assert all(line.startswith(("met ", "not met ", "open ")) for line in theory)


def test_data_that_are_seen_from_another_folder_are_told(
    otgen: Call, refused: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("points.npy", np.random.default_rng(0).normal(size=(30, 2)))
    assert otgen("train", *tiny, "--data", "Arrays", "--data.path", "points.npy", "--out", "run").code == 0
    Path("other").mkdir()
    monkeypatch.chdir("other")
    line = refused("eval", "../run", code=1)
    assert "config.yaml names 'points.npy', seen from the folder where it was trained, and there is none here" in line


@pytest.mark.parametrize("words", [("--n", "0"), ("--n", "-3"), ("--seed", "-1")], ids=str)
def test_impossible_evaluations_are_refused(words: Any, trained: Path, refused: Call) -> None:
    before = (trained / "eval/step_00000004.json").read_text()
    refused("eval", trained, *words, code=2)
    assert (trained / "eval/step_00000004.json").read_text() == before


def test_only_a_table_has_a_target(trained: Path, refused: Call) -> None:
    line = refused("eval", trained, "--target", "price", code=1)
    assert "only tables have a target column: got target='price'" in line


def test_a_run_can_be_moved(trained: Path, otgen: Call) -> None:
    otgen("sample", "trained", "--out", "before.npz")
    trained.rename("elsewhere")
    assert otgen("sample", "elsewhere", "--out", "after.npz").code == 0
    assert Path("before.npz").read_bytes() == Path("after.npz").read_bytes()


def test_the_verdict_stands_beside_the_metrics(trained: Path, succeeds: Says) -> None:
    lines = succeeds("eval", trained).splitlines()
    (headline,) = [line for line in lines if line.startswith("Verdict: ")]
    record = json.loads(succeeds("eval", trained, "--json"))
    kept = json.loads(Path(record["file"]).read_text())
    assert all(kept[key] == value for key, value in record["metrics"].items())
    said = record["verdict"]
    assert said["lines"][0] == headline
    assert said["times"] == pytest.approx(said["value"] / said["real"])
    assert (said["level"] in headline, said["distance"], said["evaluations"]) == (True, "energy", 4)
    (advice,) = [line for line in lines if line.startswith("Next (")]
    assert advice.endswith(said["advice"])
