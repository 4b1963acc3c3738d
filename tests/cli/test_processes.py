"""The command as a process of its own: what it imports, what a signal does, what a terminal's locale does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cases.runs import Call, bytes
from otgen.train import checkpoint

ENTRY = Path(sys.executable).with_name("otgen")
CLEAN = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def _started(*words: str, **options: Any) -> subprocess.Popen[str]:
    """A Python process whose output can be read while it runs."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": CLEAN}
    return subprocess.Popen([sys.executable, *words], **pipes, **options)


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--version"], 0), (["trian"], 2), ([], 2)])
def test_what_needs_no_library_answers_at_once(words: list[str], code: int) -> None:
    before = _seconds()
    command = [sys.executable, "-X", "importtime", "-m", "otgen.cli.main", *words]
    result = subprocess.run(command, capture_output=True, text=True, env=CLEAN)
    assert _seconds() - before < 0.5  # of processor time, which others' load does not change
    assert result.returncode == code
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "difflib" in imported  # else the list would prove nothing
    assert not imported & {"torch", "numpy", "scipy", "jsonargparse", "rich", "matplotlib", "PIL", "ot", "yaml"}


@pytest.mark.skipif(not ENTRY.exists(), reason="the package is not installed with its command")
def test_the_installed_command_is_this_one() -> None:
    result = subprocess.run([ENTRY, "--help"], capture_output=True, text=True, env=CLEAN)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: otgen COMMAND")


def test_a_signal_saves_and_the_run_goes_on_from_there(tiny: Any, otgen: Call) -> None:
    def words(steps: int) -> list[str]:
        return ["train", *tiny, "--trainer.log_every", "1000000", "--steps", str(steps)]

    numbers = {"interrupted": signal.SIGINT, "terminated": signal.SIGTERM}
    # One process for all signals, because it takes seconds to import what a run needs.
    code = "import sys; from otgen.cli.main import main\n"
    code += f"for out in {list(numbers)}: print('code', main([*sys.argv[1:], '--out', out]))"
    process = _started("-u", "-c", code, *words(10**7))
    assert process.stdout is not None
    signals, said, begun = iter(numbers.values()), [], False
    for line in process.stdout:
        begun = begun or line.startswith("Training in")
        if begun and line.startswith("step "):  # it is in the loop
            process.send_signal(next(signals))
            begun = False
        said.append(line)
    assert process.communicate(timeout=120)[1] == ""
    assert [line for line in said if line.startswith("code")] == ["code 130\n", "code 143\n"]
    assert sum("Interrupted at step" in line for line in said) == 2
    for run in numbers:
        step = checkpoint.step_of(checkpoint.newest(Path(run, "checkpoints")))
        assert step >= 1
        assert otgen("train", "toy.gaussians25", "--resume", "--out", run, "--steps", step + 3).code == 0
        assert otgen(*words(step + 3), "--out", f"{run}-straight").code == 0
        assert bytes(Path(run)) == bytes(Path(f"{run}-straight"))


def test_an_error_is_one_line_and_debug_shows_where() -> None:
    # The second call is within the first one's process, which has imported everything.
    code = "from otgen.cli.main import main; print(main(['eval', 'nowhere'])); main(['eval', 'nowhere', '--debug'])"
    bare = {**CLEAN, "LC_ALL": "C", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=bare)
    assert (done.returncode, done.stdout) == (1, "1\n")
    line, traceback = done.stderr.split("\n", 1)
    assert line.startswith("otgen eval: nowhere is no run directory")
    assert traceback.startswith("Traceback")
    assert "InputError: nowhere is no run directory" in traceback


def test_a_reader_that_has_gone_is_no_error() -> None:
    # A command that imports nothing and prints a line stands for all.
    code = """
import sys, types
from otgen.cli import main
sys.modules["says"] = types.SimpleNamespace(run=lambda words: print("a line") or 0)
main.COMMANDS["say"] = ("says", "say something")
input()
sys.exit(main.main(["say"]))
"""
    process = _started("-u", "-c", code, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    # As `head` would; the command has not written anything yet, and finds no reader when it does.
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 141
    process.stderr.close()
