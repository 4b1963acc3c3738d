"""Bad values for every kind of option: a line in our words, with the option's name (Reliability 66 and 67)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from cases.parser_words import is_ours
from cases.runs import Call

Refused = Callable[..., str]

# By kind of option: the recipe and options before it, its name, values that do not fit, and what is said of each.
OPTIONS: dict[str, tuple[str, str, Sequence[str], str]] = {
    "whole number": (
        "pixels",
        "method.batch",
        ["x", "1.5", "true", "[1]", "null", "", "{a: 1}", "1e3"],
        "a whole number",
    ),
    "whole number of a run": ("pixels", "seed", ["x", "1.5", "null", "[]", "0x", "''"], "a whole number"),
    "whole number or none": ("pixels", "steps", ["many", "1.5", "[1]", "none", ""], "a whole number or null"),
    "number": ("pixels", "trainer.ema", ["x", "true", "[1]", "null", "1,5", ""], "a number"),
    "number of a component": ("toy.gaussians25", "data.radius --data Gaussians8", ["x", "[1]", "null"], "a number"),
    "number or none": ("sco.fig3", "method.stop", ["x", "[1]", "{}"], "a number or null"),
    "switch": ("pixels", "generator.batch_norm", ["maybe", "2", "[true]", "null", ""], "true or false"),
    "choice": ("pixels", "trainer.device", ["tpu", "3", "[cpu]", "null", ""], "one of auto, cpu, cuda"),
    "choice of a component": ("pixels", "generator.activation", ["tpu", "3", "null", ""], "one of "),
    "duration": ("pixels", "budget", ["soon", "-3", "1d", "[1]", "0", ""], "90, 150s, 2m or 1h"),
    "weight": ("pixels", "method.reg.eps", ["x", "mean", "0.05*max", "[1]", "null", ""], "0.05*mean"),
    "list": ("pixels", "generator.widths", ["wide", "3", "{a: 1}", "null", ""], "a list such as [64, 64]"),
    "item of a list": ("pixels", "generator.widths", ["[a]", "[1.5]", "[64, x]", "[[1]]", "[null]"], "a whole number"),
    "text": ("pixels", "data.path --data Arrays", ["[a]", "{a: 1}"], "text"),
    "component": ("pixels", "method.cost", ["Nothing", "3", "[L1]", "null", "KL", "Cost", "", "true"], "otgen list"),
    "component of a run": ("pixels", "latent", ["Norml", "3", "[1]", "null", "SqEuclidean", "Source"], "otgen list"),
    "component or none": ("pixels", "method.solver", ["Sinkhron", "5", "[1]", "KL", ""], "otgen list"),
    "class of otgen": (
        "pixels",
        "data",
        ["otgen.data.Digts", "otgen.nowhere.X", "otgen.data", "otgen.cli.main.main"],
        "",
    ),
    "settings": ("pixels", "trainer", ["3", "x", "[1]", "null", "{emma: 1}", "{ema: x}", ""], "trainer"),
    "settings of a component": (
        "pixels",
        "method.generator_optimizer",
        ["3", "[1]", "{lr: x}", "{lrr: 1}"],
        "optimizer",
    ),
    "a whole component": ("pixels", "method", ["{class_path: PixelSinkhorn, init_args: {batch: x}}"], "--method.batch"),
    "no such option": ("pixels", "method.batchs", ["3"], "did you mean 'batch'"),
    "no such option of a part": ("pixels", "method.cost.exponent", ["3"], "SqEuclidean has no option 'exponent'"),
    "no such settings": ("pixels", "trainer.emma", ["0.5"], "did you mean '--trainer.ema'"),
    "size of a run": ("pixels", "scale", ["huge", "", "3"], "--scale must be one of"),
}
CASES = [(kind, value) for kind, (_, _, values, _) in OPTIONS.items() for value in values]


# Some of each kind at once, all of them by `make slow`.
SLOW = pytest.mark.slow
SOME = [(k, v) if v in OPTIONS[k][2][:2] else pytest.param(k, v, marks=SLOW) for k, v in CASES]


@pytest.mark.parametrize(("kind", "value"), SOME, ids=str)
def test_a_value_that_does_not_fit_is_told_in_our_words(kind: str, value: str, refused: Refused) -> None:
    recipe, option, _, said = OPTIONS[kind]
    name, *before = option.split(" ")
    for words in ([f"--{name}", value], [f"--{name}={value}"]):
        line = refused("train", recipe, *before, *words, "--print_config", code=2)
        assert is_ours(line), line
        assert said in line, line
        assert name.rpartition(".")[2] in line or "did you mean" in line or "component" in line, line


# What a file says of them; an empty value is null there.
IN_FILES = [(kind, value) for kind, value in CASES if value and kind != "size of a run"]
SOME_IN_FILES = [(k, v) if v in ("null", OPTIONS[k][2][0]) else pytest.param(k, v, marks=SLOW) for k, v in IN_FILES]


@pytest.mark.parametrize(("kind", "value"), SOME_IN_FILES, ids=str)
def test_a_file_is_told_in_our_words(kind: str, value: str, otgen: Call) -> None:
    recipe, option, _, _ = OPTIONS[kind]
    name, *before = option.split(" ")
    given = yaml.safe_load(value)
    for part in reversed(name.split(".")[1:]):
        given = {"init_args": {part: given}} if not name.startswith("trainer") else {part: given}
    Path("options.yaml").write_text(yaml.safe_dump({name.partition(".")[0]: given}))
    result = otgen("train", recipe, *before, "--config", "options.yaml", "--print_config")
    if result.code == 0:
        # Text may hold what a word does not: there 1e3 is a number, and null takes an option back.
        assert value in ("null", "1e3", "0x", "3", "''")
        return
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), result
    assert is_ours(result.err), result.err
    assert "options.yaml" in result.err


WORDS = {
    "train --steps": "--steps needs a value",
    "train --seed {0}": "--seed must be a whole number, got '{0}'",
    "sample run --out x.png --see 3": "there is no option --see; did you mean '--seed'?",
    "solve x.npy y.npy --to 0.1": "there is no option --to; did you mean '--tol'?",
    "train digits extra": "'extra'",
    "train --data x.npy": "--data takes a kind of data, such as ImageFolder, and x.npy is a path; that stands first",
    "train --data gone/": ", without an option: otgen train gone/",
    "train --folder gone": "the path of the data stands first, without an option: otgen train gone ...",
    "train --path": "the path of the data stands first, without an option: otgen train PATH ...",
    "train digits -o run": "there is no option -o: options are whole words after two dashes; did you mean '--out'?",
    "train digits --time 3m": "there is no option --time; did you mean '--budget'?",
    "train digits --gpu": "there is no option --gpu; did you mean '--trainer.device'?",
    "train digits --method wgangp": "no component 'wgangp'; did you mean 'WGANGP'?",
    "sample run -n 4 --out x.png": "options are whole words after two dashes; did you mean '--n'?",
    "sample run --number 4 --out x.png": "there is no option --number; did you mean '--n'?",
    "train --resume=3": "",
    "train --config": "--config needs a value",
    "train --config nowhere.yaml": "nowhere.yaml",
    "train --config {": "",
    "train --config [1]": "",
    "train --config {seed:": "",
    "train --config {sed: 3}": "did you mean 'seed'",
    "train --latent Normal --latent.dim": "--latent.dim needs a value",
    "train pixels --data Arrays": "path",
    "train pixels --data ImageFolder": "folder",
    "train --plugins nowhere": "--plugins must be a folder",
    "train --plugins": "--plugins needs a value",
    "train pixels --method.cost.help Nothing": "",
    "train pixels --method.help KL": "",
    "sample": "must be given",
    "sample run": "--out must be given",
    "sample run --out x.png --n several": "--n must be a whole number or null, got 'several'",
    "sample run --out x.png --raw=3": "",
    "sample run --out x.gif": "--out must end in .png, .npz, .npy, .csv or .parquet, or be a folder",
    "sample run --out x.png --n 0": "--n must be at least 1, got 0",
    "sample run --out x.png --seed -1": "--seed must be at least 0, got -1",
    "eval run --n 0": "--n must be at least 1, got 0",
    "eval run --seed -2": "--seed must be at least 0, got -2",
    "ssim run --back -1": "--back must be at least 0, got -1",
    "ssim run --every 0": "--every must be at least 1, got 0",
    "reproduce swgan.fig3 --jobs 0": "--jobs must be at least 1, got 0",
    "reproduce swgan.fig3 --first-seed -1": "--first-seed must be at least 0, got -1",
    "reproduce swgan.fig3/swgan-d4": "a panel has an option of its own: otgen reproduce swgan.fig3 --panels swgan-d4",
    "eval": "run must be given",
    "eval run --n x": "--n must be a whole number or null, got 'x'",
    "eval run --n 1.5": "--n must be a whole number",
    "ssim run --back x": "--back must be a whole number",
    "list extra": "extra",
    "solve": "must be given",
    "solve x.npy": "y must be given",
    "solve x.npy y.npy --tol small": "--tol must be a number, got 'small'",
    "solve x.npy y.npy --max-steps 1.5": "--max-steps must be a whole number",
    "solve x.npy y.npy --cost Nothing": "no component 'Nothing'",
    "solve x.npy y.npy --cost L1 --cost.p 3": "L1 has no option 'p'",
    "solve x.npy y.npy --reg KL --reg.eps x": "--reg.eps must be a number or a relative weight",
    "solve x.npy y.npy --eps x": "--eps must be a positive number or like 0.05*mean",
    "solve x.npy y.npy --cost nowhere_24.Cost": "no module nowhere_24",
    "crosscheck x.npy": "y must be given",
    "crosscheck x.npy y.npy --tol x": "--tol must be a number",
    "reproduce": "which figure?",
    "reproduce swgan.fig3 --seeds many": "--seeds must be a whole number, got 'many'",
    "reproduce swgan.fig3 --scale huge": "--scale must be one of",
    "reproduce swgan.fig3 --file=3": "--file takes no value",
    "verify --n x": "--n must be a whole number",
}


@pytest.mark.parametrize(("words", "said"), WORDS.items(), ids=str)
def test_words_that_do_not_fit_are_told_in_our_words(words: str, said: str, refused: Refused) -> None:
    np.save("x.npy", np.zeros((2, 1)))
    np.save("y.npy", np.zeros((2, 1)))
    command, *rest = words.replace("{sed: 3}", "{sed:\t3}").split(" ")
    line = refused(command, *(word.replace("\t", " ") for word in rest), code=2)
    assert is_ours(line), line
    assert said in line, line


def test_a_file_of_options_is_a_file(refused: Refused) -> None:
    """None of them is waited for, or read without end."""
    os.mkfifo("fifo")
    Path("bomb.yaml").write_text("a: &a [x, x]\nb: &b [*a, *a]\n")
    for path, said in (("fifo", "a FIFO"), ("/dev/zero", "a device"), (".", "a folder"), ("bomb.yaml", "an anchor")):
        line = refused("train", "--config", path, code=2)
        assert path in line
        assert said in line


def test_text_that_looks_like_an_alias_is_text(otgen: Call) -> None:
    result = otgen("train", "pixels", "--data", "Arrays", "--data.path", "*.npy", "--print_config")
    assert yaml.safe_load(result.out)["data"]["init_args"]["path"] == "*.npy"


# Paths where a name can stand, and names where a path can; every command that takes a run says the same of a wrong one.
PATHS = {
    "train gone/": "there is no file or folder gone/",
    "train ./gone": "there is no file or folder ./gone",
    "train here/../gone": "there is no file or folder here/../gone",
    "train here/gone": "there is no file or folder here/gone",
    "train hree/gone": "there is no file or folder hree/gone; did you mean 'here'?",
    "train here/gone.csv": "there is no file or folder here/gone.csv",
    "train ~/gone_27": "there is no file or folder ~/gone_27",
    "train hree": "there is no recipe, folder or file 'hree'; did you mean 'here'?",
    "train digist": "there is no recipe, folder or file 'digist'; did you mean 'digits'?",
    "train --init-from hree": "hree is no run directory: there is nothing of that name; did you mean 'here'?",
    "train --resume --out here": "here is no run directory: it has no config.yaml",
    "sample hree --out x.png": "hree is no run directory: there is nothing of that name; did you mean 'here'?",
    "sample runs --out x.png": "runs is no run directory: it holds 1 run: give one of them, as runs/one",
    "eval x.npy": "x.npy is no run directory: it is a file; give the folder that was --out of otgen train",
    "export runs --out x.pt2": "runs is no run directory: it holds 1 run: give one of them, as runs/one",
    "ssim here/gone": "here/gone is no run directory: there is nothing of that name",
    "solve here/gone.npy x.npy": "a data file is missing: got here/gone.npy",
    "solve here x.npy": "here",
    "crosscheck gone.npy x.npy": "a data file is missing: got gone.npy",
    "reproduce here/gone": "there is no figure 'here/gone'",
}


@pytest.mark.parametrize(("words", "said"), PATHS.items(), ids=str)
def test_a_path_that_leads_to_nothing_is_told_as_one(words: str, said: str, refused: Refused) -> None:
    np.save("x.npy", np.zeros((2, 1)))
    for folder in ("here", "runs/one"):
        Path(folder).mkdir(parents=True)
    Path("runs/one/config.yaml").touch()
    line = refused(*words.split(" "), code=1)
    assert is_ours(line), line
    assert said in line, line
