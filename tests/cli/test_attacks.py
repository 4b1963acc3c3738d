"""A run directory from a stranger: nothing outside it is read or written, nothing hangs, and errors are one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cases.checkpoints import change, sum_again
from cases.runs import Call
from otgen.train import checkpoint

pytestmark = [
    pytest.mark.usefixtures("warned"),
    pytest.mark.filterwarnings("always::otgen.errors.DamageWarning"),
]

SECRET = "what nobody may read or change\n"
RESUME = ("train", "toy.gaussians25", "--resume", "--out", "trained", "--steps", "7")
COMMANDS: dict[str, tuple[object, ...]] = {
    "resume": RESUME,
    "eval": ("eval", "trained", "--n", "20"),
    "sample": ("sample", "trained", "--n", "3", "--out", "mine.npz", "--force"),
}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the run, which must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text(SECRET)
    (folder / "deeper").mkdir()
    before = seen(folder)
    yield folder
    assert seen(folder) == before


def seen(folder: Path) -> dict[str, Any]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def by(path: Path, target: Path) -> None:
    """A link in place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


LINKED_FILES = ["metrics.jsonl", "metrics.tmp", ".metrics.jsonl.tmp", ".config.yaml.tmp", "env.json", "config.yaml"]
LINKED_FILES += ["curves.png", "eval/step_00000004.json", "eval/step_00000007.json", "samples/step_00000007.png"]
LINKED_FILES += ["checkpoints/step_00000004/state.json", "checkpoints/step_00000004/MANIFEST.json"]
LINKED_FILES += ["checkpoints/step_00000004/state.safetensors", "checkpoints/.tmp-step_00000007-1", "diverged.json"]
LINKED_FOLDERS = ["checkpoints", "samples", "eval", "checkpoints/step_00000004", "checkpoints/step_00000009"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [*LINKED_FILES, *LINKED_FOLDERS])
def test_no_link_is_followed(name: str, command: str, trained: Path, outside: Path, otgen: Call) -> None:
    target = outside / ("deeper" if name in LINKED_FOLDERS else "file")
    by(trained / name, target)
    result = otgen(*COMMANDS[command])
    assert result.code in (0, 1)
    assert SECRET.strip() not in result.out + result.err
    # Whatever was written is in the run, and no link.
    assert all(p.name == Path(name).name for p in trained.rglob("*") if p.is_symlink())


def test_a_link_to_a_file_that_is_not_there_creates_none(trained: Path, outside: Path, otgen: Call) -> None:
    for name in ("metrics.jsonl", "curves.png", "eval/step_00000007.json", "samples/step_00000007.png"):
        by(trained / name, outside / "new")
    for words in COMMANDS.values():
        otgen(*words)
    assert not (outside / "new").exists()


def test_another_name_of_a_file_outside_is_not_written_through(trained: Path, outside: Path, otgen: Call) -> None:
    """A hard link cannot be told from a file; so nothing that is there already is appended to."""
    for name in ("metrics.jsonl", "env.json", "eval/step_00000004.json", "config.yaml"):
        content = (trained / name).read_text()
        (trained / name).unlink()
        twin = outside / f"twin-{Path(name).name}"
        twin.write_text(content)
        os.link(twin, trained / name)
    before = seen(outside)
    for words in COMMANDS.values():
        otgen(*words)
    assert seen(outside) == before
    for twin in outside.glob("twin-*"):
        twin.unlink()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["FIFO", "folder"])
@pytest.mark.parametrize(
    "name", ["config.yaml", "metrics.jsonl", "env.json", "eval/step_00000004.json", "state.json", "MANIFEST.json"]
)
def test_what_is_no_file_does_not_hang(name: str, kind: str, command: str, trained: Path, otgen: Call) -> None:
    inner = name in ("state.json", "MANIFEST.json")
    path = trained / "checkpoints" / "step_00000004" / name if inner else trained / name
    path.unlink()
    os.mkfifo(path) if kind == "FIFO" else path.mkdir()
    result = otgen(*COMMANDS[command])
    assert result.code in (0, 1)
    assert len(set(result.err.splitlines())) <= 3


FORGED: dict[str, Callable[[Any], Any]] = {
    "no numbers": lambda about: {k: v for k, v in about.items() if k != "numbers"},
    "no step": lambda about: about | {"numbers": {k: v for k, v in about["numbers"].items() if k != "step"}},
    "a word as step": lambda about: about | {"numbers": about["numbers"] | {"step": "4"}},
    "another step": lambda about: about | {"numbers": about["numbers"] | {"step": 3}},
    "a negative step": lambda about: about | {"numbers": about["numbers"] | {"step": -4}},
    "endless seconds": lambda about: about | {"numbers": about["numbers"] | {"elapsed": float("inf")}},
    "no shape": lambda about: about | {"shape": None},
    "a huge shape": lambda about: about | {"shape": [2**40, 2**40]},
    "a shape of words": lambda about: about | {"shape": ["2"]},
    "a range of one": lambda about: about | {"value_range": [0]},
    "a range of words": lambda about: about | {"value_range": ["a", "b"]},
    "a list": lambda about: [],
    "a number": lambda about: 7,
    "null": lambda about: None,
    "settled by a word": lambda about: about | {"numbers": about["numbers"] | {"settled": "yes"}},
    "updates by a list": lambda about: about | {"numbers": about["numbers"] | {"critic_updates": []}},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_state_is_told_in_a_line(case: str, trained: Path, refused: Call) -> None:
    for path in (trained / "checkpoints").iterdir():
        change(path / "state.json", FORGED[case])
    for words in COMMANDS.values():
        refused(*words, code=1)


def test_nested_json_is_told_in_a_line(trained: Path, refused: Call) -> None:
    for path in (trained / "checkpoints").iterdir():
        (path / "state.json").write_text("[" * 100_000)
        sum_again(path)
    for words in COMMANDS.values():
        refused(*words, code=1)


def test_a_sparse_file_takes_no_memory(trained: Path, refused: Call) -> None:
    for path in (trained / "checkpoints").iterdir():
        with (path / "generator_ema.safetensors").open("r+b") as file:
            file.truncate(1 << 43)
        os.truncate(path / "state.json", 1 << 40)
        sums = json.loads((path / "MANIFEST.json").read_text())
        for name in ("generator_ema.safetensors", "state.json"):
            sums["files"][name]["size"] = (path / name).stat().st_size
        (path / "MANIFEST.json").write_text(json.dumps(sums))
    for words in COMMANDS.values():
        refused(*words, code=1)


def test_weights_of_another_type_are_refused(trained: Path, refused: Call) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    for path in checkpoint.checkpoints(trained / "checkpoints"):
        for name in ("generator.safetensors", "generator_ema.safetensors"):
            tensors = {key: t.to(torch.int8) for key, t in load_file(path / name).items()}
            save_file(tensors, path / name)
        sum_again(path)
    for words in COMMANDS.values():
        assert "torch.int8" in refused(*words, code=1)
