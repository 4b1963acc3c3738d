"""What reaches a terminal: nothing that steers it, whatever files, paths and arguments hold (Reliability 67)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from cases.runs import Call
from otgen.cli.console import PlainConsole
from otgen.cli.main import COMMANDS, main
from otgen.cli.printable import one_line, printable

ODD = "a\x1b[31mb\x07c\x9bd\x7f\u202ee\u2028f\ud800g"


def harmless(text: str) -> bool:
    return all(letter.isprintable() or letter in "\n\t" for letter in text)


def test_what_steers_is_written_out() -> None:
    assert printable(ODD) == "a\\x1b[31mb\\x07c\\x9bd\\x7f\\u202ee\\u2028f\\ud800g"
    assert printable("ü = 5 µm, 点\n\tx") == "ü = 5 µm, 点\n\tx"
    assert one_line("a\nb\r\n\x1bc ") == "a b \\x1bc"
    for code in range(0x3000):
        assert harmless(printable(chr(code)))


@pytest.mark.parametrize(
    "words",
    [
        ["\x1b[2J"],
        ["train", "\x1b[2J"],
        ["train", "--\x1b[2J", "3"],
        ["train", "--steps", "\x1b[2J"],
        ["train", "--method.cost", "\x1b[2J"],
        ["train", "--config", "\x1b[2J.yaml"],
        ["train", "--resume", "--out", "\x1b[2J"],
        ["train", "--plugins", "\x1b[2J"],
        ["train", "--data", "\x1b.X"],
        ["sample", "\x1b[2J", "--out", "x.png"],
        ["sample", "x", "--out", "\x1b[2J"],
        ["eval", "\x1b[2J\u202e"],
        ["solve", "\x1b[2J.npy", "y.npy"],
        ["reproduce", "\x1b[2J"],
        ["reproduce", "swgan.fig3", "--scale", "\x1b[2J"],
        ["verify", "\x1b[2J"],
    ],
    ids=repr,
)
def test_arguments_come_back_harmless(words: list[str], otgen: Call) -> None:
    result = otgen(*words)
    assert result.code in (1, 2)
    assert result.err.count("\n") == 1
    assert harmless(result.out + result.err)


def test_what_a_file_holds_comes_back_harmless(otgen: Call, trained: Path) -> None:
    text = (trained / "config.yaml").read_text()
    for bad in ("otgen.data.\\x1b[2J", "\\x1b[2J.X", "\\e[2J\\r\\n\\x9b"):
        (trained / "config.yaml").write_text(text.replace("otgen.data.Normal", f'"{bad}"'))
        result = otgen("sample", trained, "--out", "s.npz")
        assert result.code == 1
        assert result.err.count("\n") == 1
        assert harmless(result.err)
    (trained / "config.yaml").write_bytes(b"\x1b[2J: 3\n")
    assert harmless(otgen("eval", trained).err)


def test_a_path_is_printed_as_it_is(trained: Path, otgen: Call) -> None:
    """Neither colours nor pictures are read in it: [red] and :smile: are names of folders."""
    odd = Path("[red]x[/red] :smile: \x1b[31m")
    shutil.copytree(trained, odd)
    for result in (otgen("eval", odd), otgen("sample", odd, "--out", odd / "s.npz")):
        assert result.code == 0, result
        assert harmless(result.out + result.err)
        assert "[red]x[/red] :smile: \\x1b[31m" in result.out


def test_a_warning_is_harmless(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def warning(arguments: object) -> int:
        print(warnings.formatwarning(f"look\n{ODD}", UserWarning, "inside.py", 3), end="")
        return 0

    monkeypatch.setattr("otgen.cli.listing.run", warning)
    said = otgen("list").out
    assert said.count("\n") == 1
    assert harmless(said)


def test_a_traceback_is_harmless(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(Exception, match="no run directory") as caught:
        main(["eval", "\x1b[2J", "--debug"])
    sys.excepthook(caught.type, caught.value, caught.tb)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert harmless(shown)


def test_the_console_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    PlainConsole().print(f"[bold]{ODD}[/bold]", ":smile:")
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert "[bold]a\\x1b" in shown
    assert ":smile:" in shown


def _bare(tmp_path: Path, *words: str, before: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process with almost no environment."""
    path = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    code = f"import os, sys\n{before}\nfrom otgen.cli.main import main\nsys.exit(main())"
    all_env = {**path, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1", **env}
    command = [sys.executable, "-P", "-c", code, *words]
    return subprocess.run(command, cwd=tmp_path, env=all_env, capture_output=True, timeout=120)


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
GONE = "os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())"


def test_letters_that_the_terminal_lacks_are_written_out(tmp_path: Path) -> None:
    """Without them the end of a command would be a UnicodeEncodeError."""
    done = _bare(tmp_path, "pü\u2028", **ASCII)
    assert done.returncode == 2
    assert done.stderr.startswith(b"otgen: there is no command 'p\\")
    assert done.stderr.isascii()
    assert b"Traceback" not in done.stderr
    done = _bare(tmp_path, "sample", "rün", "--out", "x.png", **ASCII)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.isascii()


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["reproduce", "--help"]])
def test_a_working_directory_that_is_gone_hinders_no_help(words: list[str], tmp_path: Path) -> None:
    done = _bare(tmp_path, *words, before=GONE)
    assert (done.returncode, done.stderr) == (0, b"")


GONE_WORDS = ("train --help", "list", "train --steps 1", "train --config x.yaml", "eval x", "train --plugins x")
GONE_WORDS += ("solve x.npy y.npy --cost mine.X", "train --data Arrays --data.path x.npy")


@pytest.mark.slow
@pytest.mark.parametrize("words", GONE_WORDS)
def test_a_working_directory_that_is_gone_is_a_line(words: str, tmp_path: Path) -> None:
    done = _bare(tmp_path, *words.split(), before=GONE)
    assert done.returncode == 0 or (done.returncode in (1, 2) and done.stderr.count(b"\n") == 1), done
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_in_a_bare_environment(name: str, tmp_path: Path) -> None:
    """No home, no GPU, no letters but ASCII, no network: help needs none of them."""
    blocked = "import socket\ndef no(*a, **k): raise OSError('no network')\nsocket.socket.connect = no"
    done = _bare(tmp_path, name, "--help", before=blocked, CUDA_VISIBLE_DEVICES="", **ASCII)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"usage: otgen" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.slow
def test_a_run_in_a_bare_environment(tmp_path: Path, tiny: Any) -> None:
    before = "import socket\ndef no(*a, **k): raise OSError('no network')\nsocket.socket.connect = no"
    done = _bare(tmp_path, "train", *tiny, "--out", "rün", before=before, CUDA_VISIBLE_DEVICES="", **ASCII)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
