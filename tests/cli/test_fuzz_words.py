"""The words of a command under anything: it does what they say, or refuses in a line of ours."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cases.parser_words import is_ours
from cases.runs import Call

SECONDS = float(os.environ.get("OTGEN_FUZZ_SECONDS", "20"))
# Words that are understood; none of them trains or draws.
COMMANDS = [
    "train digits --method.batch 8 --steps 3 --seed 2 --print_config",
    "train pixels --data Arrays --data.path x.npy --data.columns [a,b] --latent.dim 3 --print_config",
    "train toy.gaussians25 --method.reg KL --method.reg.eps 0.05*mean --method.solver null --print_config",
    "train --config options.yaml --trainer.device cpu --generator.widths [3,3] --budget 2m --print_config",
    "train x.npy --label a --holdout 0.2 --data.standardise true --print_config",
    "train swgan.fig3/wgan-gp-d4 --method.n_critic 2 --print_config",
    "sample nowhere --n 3 --seed 1 --out x.png --interpolate 4 --label b --raw --force",
    "eval nowhere --n 20 --seed 3 --raw",
    "ssim nowhere --back 3 --forward 2 --every 1",
    "export nowhere --out g.pt2 --raw --force",
    "solve gone.npy gone.npy --cost PNorm --cost.p 1 --reg KL --eps 0.1 --tol 1e-3 --max-steps 4 --debiased",
    "crosscheck gone.npy gone.npy --cost L1 --reg NoReg --tol 1e-3 --max-steps 4",
    "reproduce nowhere --seeds 1 --scale smoke --panels a,b --jobs 1 --threads 1",
    "verify NO --n 300 --seed 1 --paper own",
    "list",
]
ODD = [
    "",
    "-",
    "--",
    "---",
    "=",
    "-1",
    "x",
    "null",
    "[]",
    "{}",
    "[1",
    "{a: 1}",
    "{a:",
    "*a",
    "&a",
    "1e999",
    ".nan",
    "é",
]
ODD += [
    "--x",
    "--x=1",
    "--x.y",
    "--x.y.z=1",
    "-h1",
    "-x",
    "--n=",
    "--out",
    "--data",
    "--data=",
    "--data.path",
    "--no-raw",
]
ODD += ["--method", "--method=", "--method.reg.eps=", "--method.x.y", "--method.init_args.batch", "--method.class_path"]
ODD += [
    "--method+",
    "--data+=x",
    "--generator.widths+",
    "--generator.widths+=3",
    "--config",
    "--config=",
    "--config={}",
]
ODD += [
    "--config=[1]",
    "--config=nowhere",
    "--config=x.npy",
    "--data.help",
    "--data.help=",
    "--data.help=X",
    "--trainer",
]
ODD += [
    "--trainer={}",
    "--trainer=nowhere.yaml",
    "--trainer.ema.x=1",
    "--steps.x=1",
    "--label=",
    "--init-from",
    "--seed=",
]
ODD += ["otgen.data.Digits", "Digits", "os.system", "@x.npy", "%s", "{0}", "a b", "\t", "\n", "a\nb", "0x1", "1_0", "١"]
ODD += [
    "--plugins",
    "--plugins=x.npy",
    "--plugins=.",
    "--debug=1",
    "--version",
    "--print_config=x",
    "--scale=",
    "--n=1e3",
]
# Paths and names that are taken for each other.
ODD += ["./", "../", "a/b", "x.npy/", "digits/", "~", "x.npy/../gone", "photos", "swgan.fig3/", "swgan.fig3/gone", "/"]


def changed(words: Sequence[str], rng: random.Random) -> list[str]:
    """Words with a few slips."""
    found = list(words)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(1, len(found) + 1)
        word = found[place] if place < len(found) else rng.choice(ODD)
        letter = rng.randrange(len(word) + 1)
        slips = [
            word[:letter] + word[letter + 1 :],
            word[:letter] + rng.choice("ax.-=_[{:1 ") + word[letter:],
            word[:letter] + word[letter + 1 : letter + 2] + word[letter : letter + 1] + word[letter + 2 :],
            rng.choice(ODD),
            rng.choice(ODD),
            word.partition("=")[0] + "=" + rng.choice(ODD),
        ]
        if rng.random() < 0.2:
            del found[place : place + 1]
        elif rng.random() < 0.3:
            found.insert(place, rng.choice(ODD))
        else:
            found[place : place + 1] = [rng.choice(slips)]
    # The first word stays, or nothing else is read; what would train is kept from it.
    keeps = ["--print_config"] if words[0] == "train" and "--print_config" not in found else []
    return [*found, *keeps]


def understood_or_refused(words: Sequence[str], otgen: Call) -> None:
    """The law."""
    began = time.process_time()
    result = otgen(*words)
    assert time.process_time() - began < 10, words
    assert result.code in (0, 1, 2, 3, 4), (words, result)
    if result.code:
        assert result.err.count("\n") == 1, (words, result.err)
        assert is_ours(result.err), (words, result.err)
        assert "--debug to see where" not in result.err, (words, result.err)
        assert len(result.err) < 2000, words


@pytest.fixture(autouse=True)
def _some_files() -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=(60, 2)))
    Path("options.yaml").write_text("seed: 3\nmethod: {class_path: PixelSinkhorn, init_args: {batch: 9}}\n")


def _run(seed: int, seconds: float, most: int, otgen: Call) -> int:
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end and count < most:
        understood_or_refused(changed(rng.choice(COMMANDS).split(" "), rng), otgen)
        count += 1
    return count


@pytest.mark.filterwarnings("default")
def test_a_few_slips(otgen: Call) -> None:
    assert _run(1, 60, 12, otgen) == 12


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_many_slips(otgen: Call) -> None:
    assert _run(int(os.environ.get("OTGEN_FUZZ_SEED", "0")), 3 * SECONDS, 100_000, otgen) > SECONDS
