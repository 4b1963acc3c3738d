"""What all sub-commands share: help, errors in one line, exit codes."""

from __future__ import annotations

import types
import warnings
from collections.abc import Sequence
from typing import Any

import pytest

from cases.errors import input_error, raising
from cases.runs import Call, Says, contains
from otgen import __version__
from otgen.cli.main import COMMANDS, main
from otgen.errors import InputError


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("help",)])
def test_help_lists_the_commands(words: tuple[str, ...], succeeds: Says) -> None:
    out = succeeds(*words)
    for name, (_, summary) in COMMANDS.items():
        assert any(line.split()[:1] == [name] and line.endswith(summary) for line in out.splitlines())


def test_no_words_show_the_help_and_are_a_mistake(otgen: Call) -> None:
    result = otgen()
    assert result.code == 2
    assert "usage: otgen COMMAND" in result.out


def test_the_version(otgen: Call) -> None:
    assert otgen("--version").out == f"otgen {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(name: str, succeeds: Says) -> None:
    out = succeeds(name, "--help")
    contains(out, f"usage: otgen {name}", "--help")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian", "train"),
        ("evaluate", "eval"),
        ("samples", "sample"),
        ("lst", "list"),
        ("quux", None),
        ("resume", "train --resume --out RUN"),
    ],
)
def test_an_unknown_command_is_guessed(typed: str, meant: str | None, otgen: Call) -> None:
    result = otgen(typed)
    assert (result.code, result.out) == (2, "")
    hint = "see otgen --help" if meant is None else f"did you mean {meant!r}?"
    assert result.err == f"otgen: there is no command {typed!r}; {hint}\n"


def test_a_warning_is_one_line(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.formatwarning

    def warning(arguments: object) -> int:
        # What Python would write; pytest keeps the warnings themselves from it.
        print(warnings.formatwarning("look twice", UserWarning, "inside.py", 3), end="")
        return 0

    monkeypatch.setattr("otgen.cli.listing.run", warning)
    assert otgen("list").out == "otgen list: UserWarning: look twice\n"
    assert warnings.formatwarning is before


MISSPELT = {"train --stpes 3": "--steps", "train --trainer.emma 0.5": "--trainer.ema", "train --sede 3": "--seed"}
MISSPELT |= {"train --methd.batch 3": "--method.batch", "train --method.batchs 3": "batch", "eval x --row": "--raw"}
MISSPELT |= {"train --data.pixel_rnge unit": "pixel_range", "train pixels --generator.width [3]": "widths"}
MISSPELT |= {"sample x --ot x.png": "--out", "reproduce swgan.fig3 --sedes 3": "--seeds"}
MISSPELT |= {"solve x y --epps 1": "--eps", "solve x y --reg KL --reg.epss 1": "eps"}


@pytest.mark.parametrize(("words", "meant"), MISSPELT.items())
def test_an_unknown_option_is_guessed(words: str, meant: str, refused: Call) -> None:
    assert f"did you mean '{meant}'?" in refused(*words.split(), code=2)


UNKNOWN = {"train --generator MlpGenerater": "MlpGenerator", "train --method PixelSinkhron": "PixelSinkhorn"}
UNKNOWN |= {"train --data Gausians25": "Gaussians25", "solve x y --cost SqEuclidian": "SqEuclidean"}


@pytest.mark.parametrize(("words", "meant"), UNKNOWN.items())
def test_an_unknown_component_is_guessed(words: str, meant: str, refused: Call) -> None:
    assert meant in refused(*words.split(), code=2)


BAD_WORDS = ["sample", "sample x", "eval", "solve x.npy", "list extra", "reproduce", "solve x y --tol small"]
BAD_WORDS += ["train --steps many", "train --budget soon", "train --steps", "train --scale huge", "train digits extra"]
BAD_WORDS += ["train --trainer.device tpu", "train --config nowhere.yaml", "train pixels --generator.widths wide"]
BAD_WORDS += ["train --method.reg KL --method.reg.eps mean", "reproduce swgan.fig3 --seeds many"]
BAD_WORDS += ["sample x --out x.png --n several"]


@pytest.mark.parametrize("words", BAD_WORDS)
def test_bad_words_are_one_line_and_exit_code_2(words: str, refused: Call) -> None:
    refused(*words.split(), code=2)


IMPOSSIBLE = ["--steps 0", "--steps -3", "--seed -1", "--trainer.ema 2", "--method.batch 0", "--latent.dim 0"]
IMPOSSIBLE += ["pixels --generator.widths [0]", "--method.generator_optimizer.lr -1", "no.such.recipe"]


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_impossible_values_are_one_line_and_leave_no_run(words: str, otgen: Call, tmp_path: Any) -> None:
    result = otgen("train", *words.split(), "--out", "run")
    assert result.code in (1, 2)
    assert result.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (InputError("two\n  lines"), "otgen train: two lines\n", 1),
        (ZeroDivisionError("division"), "otgen train: ZeroDivisionError: division; run with --debug to see where\n", 1),
        (RuntimeError(), "otgen train: RuntimeError: RuntimeError; run with --debug to see where\n", 1),
        (KeyboardInterrupt(), "otgen: interrupted\n", 130),
        (MemoryError("much"), "otgen train: MemoryError: much; run with --debug to see where\n", 1),
    ],
    ids=repr,
)
def test_every_error_is_one_line(
    error: BaseException, line: str, code: int, otgen: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: types.SimpleNamespace(run=raising(error)))
    result = otgen("train")
    assert (result.code, result.out, result.err) == (code, "", line)


def test_debug_lets_errors_through() -> None:
    input_error("no run directory", main, ["eval", "nowhere", "--debug"])
    input_error("no run directory", main, ["--debug", "eval", "nowhere"])


def test_the_list_names_recipes_and_components(succeeds: Says) -> None:
    out = succeeds("list")
    names = "digits.features Gaussians25 ImageFolder DcganGenerator MlpCritic SinkhornAutoDiff SqEuclidean Quadratic"
    solvers = "Sinkhorn StochasticSinkhorn AveragedSGD GridExact1D GridPDHG"
    contains(out, *(f"\n  {name} " for name in f"{names} {solvers}".split()))
    for abstract in ("  Source ", "  TransportMethod ", "  Mixture ", "  Cost "):
        assert abstract not in out
    rows = [line for line in out.splitlines() if line.startswith("  ")]
    assert all(len(row.split(maxsplit=1)) == 2 for row in rows)  # each has a summary


@pytest.mark.filterwarnings("always")
def test_the_same_warning_is_told_once(otgen: Call, warned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data are read for the training and again for the evaluation."""

    def run(arguments: Sequence[str]) -> int:
        for text in ("one of 3 images", "one of 3 images", "another thing"):
            warnings.warn(text, UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("otgen.cli.listing.run", run)
    lines = ("otgen list: UserWarning: one of 3 images", "otgen list: UserWarning: another thing")
    for _ in range(2):  # by every command anew
        assert otgen("list").err.splitlines() == [*lines]
