"""`otgen reproduce`: what a person sees, what is refused, Ctrl-C."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases.figures import STEPS, TOY, transport, unrendered
from cases.runs import Call, Says, contains
from otgen.cli.reproduce import edit_of
from otgen.data import ImageFolder
from otgen.nets import MlpGenerator
from otgen.papers import Panel, Scale, all_figures, find_figure
from otgen.train import Duration, RunConfig, RunDir, Trainer

BY_TWO = ("reproduce", "own.toy", "--seeds", "1", "--jobs", "2", "--threads", "1", "--out", "out")
FIGURES = (*(figure.name for figure in all_figures()), "own.toy", "own.images")
IN_TURN = ("Transport, seed 10", "Adversarial, seed 10", "Transport, seed 11", "Adversarial, seed 11")


def pictured(scale: Scale) -> RunConfig:
    return replace(transport(scale), data=ImageFolder(folder="nowhere", size=8, channels=1))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    unrendered(monkeypatch)
    panel = Panel(name="transport", title="T", build=pictured)
    images = replace(TOY, name="own.images", panels=(panel,), claims=(), columns=1)
    table = {figure.name: figure for figure in (*all_figures(), TOY, images)}
    monkeypatch.setattr("otgen.papers.figure._FIGURES", table)


def test_a_figure_from_runs_to_verdicts(otgen: Call, succeeds: Says) -> None:
    lines = succeeds("reproduce", "own.toy").splitlines()
    assert lines[0] == "own.toy, scale cpu: 4 runs in runs/own.toy-cpu, of unknown duration"
    assert [line for line in lines if line.startswith("[")] == [f"[{k}/4] {run}" for k, run in enumerate(IN_TURN, 1)]
    ends = [line for line in lines if line.startswith(f"step {STEPS}/{STEPS}")]
    # Nothing is left of the last run, and so of all.
    assert [bool(re.search(r", all runs \d+:\d\d left", line)) for line in ends] == [True] * 4
    assert "all runs 0:00 left" in ends[-1]
    contains("\n".join(lines), "\n1. transport is better (Section 1): ", "\n2. both come near (Section 2): ")
    assert any("Transport: W1 " in line for line in lines)
    files = {"Figure: ": "figure.png", "Curves: ": "curves.png", "Report: ": "report.md", "Numbers:": "results.json"}
    for word, name in files.items():
        assert f"{word} runs/own.toy-cpu/{name}" in lines
        assert Path("runs/own.toy-cpu", name).is_file()
    again = otgen("reproduce", "own.toy")
    assert [line for line in again.out.splitlines() if line.startswith(("[", "step"))] == []
    assert again.out.splitlines()[-6:] == lines[-6:]


def test_options_reach_the_runs(otgen: Call) -> None:
    words = ("--scale", "smoke", "--seeds", "2", "--panels", "adversarial", "--threads", "1", "--out", "here")
    assert otgen("reproduce", "own.toy", *words).code == 0
    assert {p.name for p in Path("here").iterdir() if p.is_dir()} == {"adversarial-seed10", "adversarial-seed11"}
    config = RunDir.open(Path("here/adversarial-seed11")).load_config()
    assert (config.steps, config.seed, config.trainer.threads) == (1, 11, 1)


def test_a_reason_that_all_claims_share_is_said_once(otgen: Call) -> None:
    result = otgen("reproduce", "own.toy", "--scale", "smoke", "--out", "here")
    lines = result.out.splitlines()
    assert "2. both come near (Section 2): NOT TESTED" in lines
    reason = "the scale smoke shows that it runs, not what it can do"
    assert [line for line in lines if reason in line] == [f"Not tested, any claim: {reason}"]
    # The page has it under each claim, once a claim and not once a panel.
    assert Path("here/report.md").read_text().count("The scale smoke shows") == 2


@pytest.mark.parametrize("number", [2, 15])
def test_an_interruption_says_how_to_go_on(number: int, otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def interrupted(self: Trainer) -> Any:
        logged = step(self)
        if self.run.path.name == "adversarial-seed10" and self.state.step == 3:
            self.signal = number
        return logged

    words = ("reproduce", "own.toy", "--seeds", "1", "--out", "cut")
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        result = otgen(*words)
    assert (result.code, result.err) == (128 + number, "")
    assert result.out.splitlines()[-1] == "Interrupted. What is done is saved; the same command goes on from there."
    assert not Path("cut/report.md").exists()
    result = otgen(*words)
    assert result.code == 0
    assert [line for line in result.out.splitlines() if line[0:1] == "["] == ["[2/2] Adversarial, seed 10, from 60% on"]


def test_a_folder_of_data_is_an_option(otgen: Call, refused: Call) -> None:
    assert "nowhere" in otgen("reproduce", "own.images", "--out", "a").err
    Path("photos").mkdir()
    for k, shade in enumerate(np.linspace(0, 255, 40)):
        Image.new("L", (8, 8), int(shade)).save(f"photos/{k}.png")
    assert otgen("reproduce", "own.images", "--data", "photos", "--seeds", "1", "--out", "b").code == 0
    data = RunDir.open(Path("b/transport-seed10")).load_config().data
    assert getattr(data, "folder", None) == "photos"
    assert isinstance(transport().generator, MlpGenerator)


@pytest.mark.parametrize(
    ("words", "named", "code"),
    [
        ((), f"which figure? otgen reproduce FIGURE, one of {', '.join(FIGURES)}", 2),
        (("own.tyo",), "there is no figure 'own.tyo'; did you mean 'own.toy'?", 1),
        (("own.toy", "--sede", "3"), "did you mean '--seeds'?", 2),
        (("own.toy", "--seeds", "0"), "--seeds must be at least 1, got 0", 2),
        (("own.toy", "--jobs", "0"), "--jobs must be at least 1, got 0", 2),
        (("own.toy", "--threads", "-1"), "--threads must be at least 0, got -1", 2),
        (("own.toy", "--scale", "huge"), "--scale must be one of", 2),
        (("own.toy", "--panels", "transprt"), "did you mean 'transport'?", 1),
    ],
    ids=str,
)
def test_what_is_off_is_said_in_a_line(words: tuple[str, ...], named: str, code: int, refused: Call) -> None:
    assert named in refused("reproduce", *words, code=code)
    assert list(Path().iterdir()) == []


def test_a_folder_where_none_is_needed_is_refused(otgen: Call) -> None:
    result = otgen("reproduce", "own.toy", "--data", "photos")
    assert result.code == 2
    assert result.err == "otgen reproduce: the data of own.toy (Gaussian2D) need no folder; leave --data out\n"


def test_a_budget_is_for_runs_that_have_one(otgen: Call) -> None:
    figure = find_figure("swgan.fig3")
    config = figure.panels[0].build(Scale.CPU)
    assert edit_of(figure, 0, None, "2m")(config) == replace(config, budget=Duration(120))
    result = otgen("reproduce", "own.toy", "--budget", "2m")
    assert result.code == 2
    assert result.err == "otgen reproduce: own.toy has runs of a number of steps, which --budget does not change\n"
    assert "--budget is not a duration: 'soon'; write 90" in otgen("reproduce", "own.toy", "--budget", "soon").err


def test_the_list_names_figures(otgen: Call) -> None:
    shown = otgen("list").out.split("Figures (otgen reproduce NAME):")[1].split("\n\n")[0]
    contains(shown, "\n  swgan.fig3 ", "(Sanjabi et al. 2018, Figure 3)")


def test_two_runs_at_a_time(succeeds: Says) -> None:
    words = ("reproduce", "swgan.fig3", "--scale", "smoke", "--panels", "wgan-gp-d4,wgan-gp-d2", "--jobs", "2")
    assert "2 runs in out, 2 at a time" in succeeds(*words, "--threads", "1", "--out", "out")
    assert all(Path("out", name).is_file() for name in ("report.md", "worker-2.log"))
    assert not list(Path("out").glob(".*"))


def test_a_worker_that_fails_is_named(otgen: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "false")
    result = otgen(*BY_TWO)
    assert result.code == 0
    assert "A worker ended with status 1" in result.out
    assert Path("out/report.md").is_file()


def test_a_finished_figure_may_be_drawn_anew_with_other_threads(otgen: Call, refused: Call) -> None:
    words = ("reproduce", "own.toy", "--seeds", "1", "--out", "out")
    assert otgen(*words, "--threads", "1").code == 0
    assert otgen(*words, "--threads", "2").code == 0
    for folder in Path("out/transport-seed10/checkpoints").iterdir():
        shutil.rmtree(folder)
    assert "give --threads 1, or delete" in refused(*words, "--threads", "2", code=1)
