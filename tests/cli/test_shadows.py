"""Modules that lie where somebody works: none is run in place of a library, and own ones only where they are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cases.runs import Call

ENTRY = Path(sys.executable).with_name("otgen")
SHADOWED = ("numpy", "torch", "yaml", "os", "scipy", "rich", "jsonargparse", "PIL", "matplotlib", "difflib", "ot")


def _trap(folder: Path) -> None:
    """Modules with the names of those that otgen uses; each notes that it was run."""
    for name in (*SHADOWED, "sentinel_24"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'executed')!r}, 'a').write('{name} ')\n")


def _run(start: list[str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return subprocess.run([*start, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


STARTS = {
    "python -P -m otgen": [sys.executable, "-P", "-m", "otgen"],
    "the entry point": [sys.executable, "-P", "-c", "import sys; from otgen.cli.main import main; sys.exit(main())"],
}


@pytest.mark.parametrize("start", ["python -P -m otgen", pytest.param("the entry point", marks=pytest.mark.slow)])
def test_a_run_directory_full_of_traps_is_sampled(start: str, trained: Path) -> None:
    _trap(trained)
    done = _run(STARTS[start], "sample", ".", "--out", "samples.npz", "--plugins", ".", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (trained / "executed").exists()
    assert (trained / "samples.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["eval .", "train toy.gaussians25 --resume --out . --steps 5", "list"])
def test_every_command_works_among_traps(words: str, trained: Path) -> None:
    _trap(trained)
    starts = [*STARTS.values(), *([[str(ENTRY)]] if ENTRY.exists() else [])]
    for start in starts[:1] if "resume" in words else starts:
        done = _run(start, *words.split(), cwd=trained)
        assert (done.returncode, done.stderr) == (0, "")
    assert not (trained / "executed").exists()


@pytest.mark.parametrize("entry", ["", ".", "os.getcwd()"])
def test_the_working_directory_is_taken_from_the_path(entry: str, tmp_path: Path) -> None:
    """As ``python -m`` and ``-c`` without -P put it there, before any line of ours runs."""
    _trap(tmp_path)
    code = f"""
import difflib, os, sys
from otgen.cli.main import _leave_working_directory as leave
sys.path.insert(0, {entry if "(" in entry else repr(entry)})
leave()
print([entry for entry in sys.path if not entry or os.path.realpath(entry) == os.getcwd()])
import rich, yaml
"""
    done = _run([sys.executable, "-P", "-c", code], cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert not (tmp_path / "executed").exists()


def test_a_folder_that_python_was_told_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from otgen.cli.main import _leave_working_directory

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}{tmp_path}")
    _leave_working_directory()
    assert str(tmp_path) in sys.path
    # An empty part of it is the working directory, which nobody meant.
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}")
    _leave_working_directory()
    assert str(tmp_path) not in sys.path


ROUTES = (
    "--method.cost {}",
    "--method.cost={}",
    "--method.cost.class_path {}",
    "--method.cost.help {}",
    "--method.help={}",
    "--method {{class_path: PixelSinkhorn, init_args: {{cost: {}}}}}",
    "--method.init_args.cost {}",
    "--method.solver Multiscale --method.solver.inner {}",
    "--trainer {}",
    "--trainer {{class_path: {}}}",
    "--trainer.help {}",
    "--method.generator_optimizer {}",
    "--data {{class_path: {}}}",
    "--dat {}",
    "--config {{data: {}}}",
)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("command", ["train", "crosscheck"])
def test_no_word_imports_a_module_that_is_installed(
    route: str, command: str, otgen: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module can be imported from the path, but is neither otgen's nor in a folder that was named."""
    folder = tmp_path / "installed"
    folder.mkdir()
    _trap(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "sentinel_24", raising=False)
    words = [part.format("sentinel_24.X") for part in route.split(" ", 1)]
    if command == "crosscheck":
        words = ["x.npy", "y.npy", words[0].replace("method.cost", "cost"), *words[1:]]
    if command == "train" and "Multiscale" in route:
        words = route.format("sentinel_24.X").split()
    result = otgen(command, *words)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert not (folder / "executed").exists()


def test_a_folder_of_ones_own_solves(otgen: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(Path(__file__).parents[1] / "cases" / "own_parts.py", folder / "own_parts_24.py")
    import numpy as np

    np.save("x.npy", np.zeros((2, 1)))
    for command in ("solve", "crosscheck"):
        words = (command, "x.npy", "x.npy", "--cost", "own_parts_24.MyCost", "--reg", "KL")
        asked = otgen(*words)
        assert asked.code == 2
        assert asked.err.endswith(f"otgen {' '.join(words)} --plugins DIR\n")
    assert otgen("solve", *words[1:], "--plugins", folder).code == 0
    assert str(folder) not in sys.path
    sys.modules.pop("own_parts_24", None)
