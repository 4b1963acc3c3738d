"""Every file of a run directory, flipped, cut and deleted: refused, fallen back from, or harmless and said."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cases.runs import Call
from otgen.train import RunDir, checkpoint

pytestmark = [
    pytest.mark.usefixtures("warned"),
    pytest.mark.filterwarnings("always::otgen.errors.DamageWarning"),
]

RESUME = ("train", "toy.gaussians25", "--resume", "--out", "run", "--steps", "7")


def outcome(run: Path) -> dict[str, Any]:
    """What a run has come to, but for times."""
    newest = checkpoint.newest(run / "checkpoints")
    found: dict[str, Any] = {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}
    found["step"] = newest.name
    lines = RunDir(run).read_metrics()
    found["metrics"] = [{k: v for k, v in line.items() if k != "elapsed"} for line in lines]
    return found


def flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def another_digit(file: Path, rng: random.Random) -> None:
    """What reads as well as before, and means something else."""
    content = bytearray(file.read_bytes())
    digits = [k for k, byte in enumerate(content) if chr(byte).isdigit()]
    if not digits:
        flip(file, rng)
        return
    at = rng.choice(digits)
    content[at] = ord(rng.choice([d for d in "0123456789" if d != chr(content[at])]))
    file.write_bytes(content)


def cut(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def deleted(file: Path, rng: random.Random) -> None:
    file.unlink()


HARMS: dict[str, tuple[Callable[[Path, random.Random], None], int, int]] = {
    # how, how often in every run of the tests, and in the long check
    "flipped": (flip, 12, 300),
    "another digit": (another_digit, 12, 200),
    "cut": (cut, 8, 100),
    "deleted": (deleted, 8, 60),
}


def check(how: str, seeds: range, tmp_path: Path, whole: Path, expected: dict[str, Any], otgen: Call) -> dict[str, int]:
    """Harm a file, go on with the run: the end is as it would have been, or nothing was done; counts by ending."""
    harm, run = HARMS[how][0], tmp_path / "run"
    found: dict[str, int] = {}
    for seed in seeds:
        rng = random.Random(seed)
        shutil.copytree(whole, run)
        files = sorted(p for p in run.rglob("*") if p.is_file())
        # Each kind of file as often: most files are in checkpoints.
        kinds = sorted({p.relative_to(run).parts[0] for p in files})
        kind = kinds[seed % len(kinds)]
        file = rng.choice([p for p in files if p.relative_to(run).parts[0] == kind])
        harm(file, rng)
        what = f"{how} {file.relative_to(run)}, seed {seed}"
        result = otgen(*RESUME)
        if result.code == 0:
            after = outcome(run)
            said = ("left out", "is not what it was", "is used instead")
            lost = any(words in result.err for words in said)
            if after == expected:
                ending = "said, and as it was" if result.err else "harmless"
            else:
                # Lines of metrics may be lost, and this is said; weights may not differ at all.
                assert lost, (what, result)
                assert {**after, "metrics": None} == {**expected, "metrics": None}, what
                ending = "lines lost, and said"
        else:
            assert result.code == 1, (what, result)
            assert result.err.count("\n") <= 3, (what, result)
            ending = "refused"
        found[ending] = found.get(ending, 0) + 1
        shutil.rmtree(run)
    return found


@pytest.fixture
def expected(trained: Path, otgen: Call, tmp_path: Path) -> dict[str, Any]:
    """Of a run that nothing was done to."""
    shutil.copytree(trained, tmp_path / "run")
    assert otgen(*RESUME).code == 0
    found = outcome(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    return found


@pytest.mark.parametrize("how", HARMS)
def test_a_damaged_file_changes_no_result(
    how: str, trained: Path, expected: dict[str, Any], otgen: Call, tmp_path: Path
) -> None:
    check(how, range(HARMS[how][1]), tmp_path, trained, expected, otgen)


@pytest.mark.slow
@pytest.mark.parametrize("how", HARMS)
def test_many_damaged_files_change_no_result(
    how: str, trained: Path, expected: dict[str, Any], otgen: Call, tmp_path: Path
) -> None:
    found = check(how, range(1000, 1000 + HARMS[how][2]), tmp_path, trained, expected, otgen)
    assert sum(found.values()) == HARMS[how][2]
    assert len(found) > 1, found


@pytest.mark.slow
def test_no_other_digit_in_the_configuration_is_taken_for_it(trained: Path, otgen: Call, tmp_path: Path) -> None:
    """Each digit of config.yaml in turn: 55 of 90 such files were once loaded as another run."""
    text = (trained / "config.yaml").read_text()
    for at, letter in enumerate(text):
        if letter.isdigit():
            edited = text[:at] + str((int(letter) + 1) % 10) + text[at + 1 :]
            (trained / "config.yaml").write_text(edited)
            for words in (("eval", "trained", "--n", "20"), ("sample", "trained", "--n", "2", "--out", "x.npz")):
                assert otgen(*words).code == 1, edited.splitlines()[text[:at].count("\n")]
