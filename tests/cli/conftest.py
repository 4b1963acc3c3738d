"""The command, in this process, with what it printed and its exit code."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases.pixels import unrendered
from otgen.cli.main import main
from otgen.train import RunDir, Trainer
from otgen.train.config_files import load
from otgen.train.hooks import Checkpoints

# A run of four steps on the plane: a tenth of a second.
TINY = (
    "toy.gaussians25",
    *("--scale", "smoke", "--steps", "4", "--trainer.threads", "1", "--trainer.eval_samples", "30"),
    *("--generator.widths", "[6]", "--method.batch", "12", "--method.max_steps", "4"),
)


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", unrendered)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes to the working directory, and puts it on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@dataclass(frozen=True)
class Result:
    """What a person sees of a command."""

    code: int
    out: str
    err: str


def call(*words: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings of damage are printed, as they are outside of tests; together with a filter that allows them."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, "", 0))

    monkeypatch.setattr(warnings, "showwarning", show)


@pytest.fixture
def otgen() -> Callable[..., Result]:
    """Run the command."""
    return call


@pytest.fixture
def succeeds() -> Callable[..., str]:
    """Run a command that must succeed and have nothing on stderr; what it printed."""

    def check(*words: object) -> str:
        result = call(*words)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    return check


@pytest.fixture
def refused() -> Callable[..., str]:
    """Run a command that must fail: one line on stderr that names the sub-command, nothing else; the line."""

    def check(*words: object, code: int) -> str:
        result = call(*words)
        assert result.code == code, result
        assert result.err.endswith("\n")
        assert result.err.count("\n") == 1, result.err
        assert result.err.startswith(f"otgen {words[0]}: ")
        assert result.out.replace("\n", "") == "" or result.out.startswith(("Training in ", "Only "))
        return result.err.strip()

    return check


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Words of a run that is over at once."""
    return TINY


@pytest.fixture(scope="package")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run of these words, only to be read, and what was printed."""
    folder = tmp_path_factory.mktemp("once") / "trained"
    result = call("train", *TINY, "--out", folder)
    assert (result.code, result.err) == (0, "")
    return folder, result.out


@pytest.fixture(scope="package")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of these words, but of seven steps; only to be read."""
    folder = tmp_path_factory.mktemp("once") / "longer"
    assert call("train", *TINY, "--steps", "7", "--out", folder).code == 0
    return folder


@pytest.fixture
def trained(trained_once: tuple[Path, str], tmp_path: Path) -> Path:
    """A finished run of these words, in the working directory; a copy, so it may be changed."""
    return Path(shutil.copytree(trained_once[0], tmp_path / "trained"))


@pytest.fixture(scope="package")
def picture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on images of 1 x 8 x 8; only to be read."""
    folder = tmp_path_factory.mktemp("once")
    chance = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for k in range(60):
        pixels = chance.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{k}.png")
    data = ("--data", "ImageFolder", "--data.folder", folder / "pictures", "--data.size", "8", "--data.channels", "1")
    (folder / "config.yaml").write_text(call("train", *TINY, *data, "--print_config").out)
    config = load(folder / "config.yaml")
    Trainer(config, RunDir.create(folder / "run", config), [Checkpoints()]).train()  # without an evaluation
    return folder / "run"
