"""The command as a process of its own: what it imports, what a signal does, what a terminal's locale does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otgen.train import checkpoint

ENTRY = Path(sys.executable).with_name("otgen")
CLEAN = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["trian"], []])
def test_what_needs_no_library_answers_at_once(words: list[str]) -> None:
    before = _seconds()
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "otgen.cli.main", *words], capture_output=True, text=True, env=CLEAN
    )
    assert _seconds() - before < 0.5  # of processor time, which others' load does not change
    assert result.returncode in (0, 2)
    imported = {
        line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time")
    }
    assert "difflib" in imported  # else the list would prove nothing
    assert not imported & {"torch", "numpy", "scipy", "jsonargparse", "rich", "matplotlib", "PIL", "ot", "yaml"}


@pytest.mark.skipif(not ENTRY.exists(), reason="the package is not installed with its command")
def test_the_installed_command_is_this_one() -> None:
    result = subprocess.run([ENTRY, "--help"], capture_output=True, text=True, env=CLEAN)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: otgen COMMAND")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on_from_there(
    number: signal.Signals, tiny: Any, otgen: Callable[..., Any]
) -> None:
    words = [*tiny, "--trainer.log_every", "1000000"]
    words[words.index("--steps") + 1] = "10000000"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "otgen.cli.main", "train", *words, "--out", "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=CLEAN,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):  # it is in the loop
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert err == ""
    assert "Interrupted at step" in out
    step = int(checkpoint.newest(Path("run/checkpoints")).name.rpartition("_")[2])
    assert step >= 1
    end = str(step + 3)
    assert otgen("train", "toy.gaussians25", "--resume", "--out", "run", "--steps", end).code == 0
    words[words.index("--steps") + 1] = end
    assert otgen("train", *words, "--out", "straight").code == 0
    one, other = (checkpoint.newest(Path(name) / "checkpoints") for name in ("run", "straight"))
    assert one.name == other.name
    for file in one.glob("*.safetensors"):
        assert file.read_bytes() == (other / file.name).read_bytes(), file.name


def test_an_error_is_one_line_and_debug_shows_where() -> None:
    command = [sys.executable, "-m", "otgen.cli.main", "eval", "nowhere"]
    plain = subprocess.run(
        command, capture_output=True, text=True, env={**CLEAN, "LC_ALL": "C", "HOME": "/nonexistent"}
    )
    assert (plain.returncode, plain.stdout) == (1, "")
    assert plain.stderr.startswith("otgen eval: nowhere is no run directory")
    assert plain.stderr.count("\n") == 1
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, env=CLEAN)
    assert debug.returncode == 1
    assert debug.stdout == ""
    assert debug.stderr.startswith("Traceback")
    assert "InputError: nowhere is no run directory" in debug.stderr


def test_a_reader_that_has_gone_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "otgen.cli.main", "verify", "--list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=CLEAN,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    # As `head` would; the command has not written anything yet, and finds no reader when it does.
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 141
    process.stderr.close()
