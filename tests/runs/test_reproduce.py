"""A figure from its runs to its verdicts: what is written, what is not done twice, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cases import runs
from cases.errors import input_error
from cases.figures import STEPS, TOY, W1, unrendered
from otgen.data import Arrays, Gaussian1D, Normal
from otgen.errors import DamageWarning, NumericalError
from otgen.methods import SCO, Cells, Logged
from otgen.nets import LocationScale
from otgen.papers import Outcome, Panel, Scale, Status, Verdict, filed, read_results
from otgen.papers.claim import overall
from otgen.runs import Interrupted, Job, Plan, Reproduction, evaluate_run, reproduce, train_all
from otgen.runs.file_figure import file_figure
from otgen.train import Hook, RunConfig, RunDir, Trainer, checkpoint
from otgen.train.evaluation import metrics_of
from otgen.train.hooks import Log
from otgen.train.run_lock import locked

PANELS = [("transport", 10), ("adversarial", 10), ("transport", 11), ("adversarial", 11)]
NAMES = [f"{panel}-seed{seed}" for panel, seed in PANELS]


class Watching:
    """Notes which runs train and which are done, and does something after a step of one."""

    def __init__(self, where: str = "", step: int = 0, act: Callable[[Trainer], None] = lambda trainer: None) -> None:
        self.trained: list[str] = []
        self.finished: list[str] = []
        self.one_done = threading.Event()
        self.where, self.step, self.act = where, step, act

    def hooks(self, job: Job, log: Log) -> Sequence[Hook]:
        self.trained.append(job.run.path.name)
        return [self] if job.run.path.name == self.where else []

    def done(self, job: Job, outcome: Outcome) -> None:
        self.finished.append(job.run.path.name)
        self.one_done.set()

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        if trainer.state.step == self.step:
            self.act(trainer)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Nothing."""


def explode(trainer: Trainer) -> None:
    raise NumericalError(f"step {trainer.state.step}, generator: the loss is nan")


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    unrendered(monkeypatch)


@pytest.fixture(scope="module")
def _once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("figure") / "toy"
    with pytest.MonkeyPatch.context() as patched:
        unrendered(patched)
        reproduce(Plan(figure=TOY, out=out))
    return out


@pytest.fixture
def out(_once: Path, tmp_path: Path) -> Path:
    """The folder of the finished figure; a copy, so it may be changed."""
    return Path(shutil.copytree(_once, tmp_path / "toy"))


def again(out: Path, watching: Watching | None = None, **changes: Any) -> Reproduction:
    return reproduce(Plan(**{"figure": TOY, "out": out, **changes}), watching)


def trained(out: Path, **changes: Any) -> list[str]:
    """The names of the runs that a plan still trains."""
    watching = Watching()
    again(out, watching, **changes)
    return watching.trained


def judged(done: Reproduction) -> list[tuple[Verdict, ...]]:
    """The verdicts on each claim of the toy figure."""
    return [claim.verdicts(done.results) for claim in TOY.claims]


def test_runs_are_ordinary_ones_and_four_files_are_made_of_them(out: Path) -> None:
    assert {p.name for p in out.iterdir()} == {*NAMES, "figure.png", "curves.png", "report.md", "results.json"}
    for name, (panel, seed) in zip(NAMES, PANELS, strict=True):
        run = RunDir.open(out / name)
        assert checkpoint.newest(run.checkpoints).name == f"step_{STEPS:08d}"
        config = TOY.panel(panel).build(Scale.CPU)
        assert run.load_config() == replace(config, seed=seed, trainer=replace(config.trainer, eval_points=12))
        assert evaluate_run(run).values


def test_the_numbers_are_those_of_the_runs(out: Path) -> None:
    found = json.loads((out / "results.json").read_text())
    assert (found["figure"], found["scale"]) == ("own.toy", "cpu")
    for name, (panel, seed) in zip(NAMES, PANELS, strict=True):
        run = found["panels"][panel]["runs"][seed - 10]
        assert (run["seed"], run["steps"], run["diverged"]) == (seed, STEPS, None)
        assert run["critic_updates"] == (2 * STEPS if panel == "adversarial" else 0)
        assert run["seconds"] > 0
        kept = RunDir(out / name).read_evaluations()[-1]
        assert kept["step"] == STEPS
        assert run["values"] == metrics_of(kept)
        # An evaluation at each of the few steps, the end apart.
        assert [point["step"] for point in run["history"]] == list(range(1, STEPS))
    assert found["panels"]["transport"]["config"]["steps"] == STEPS
    assert found["environments"] == [json.loads((out / NAMES[0] / "env.json").read_text())]


def test_the_report_has_every_claim_and_number_and_stands_without_the_runs(out: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("report.md", "figure.png", "curves.png", "results.json"):
        shutil.copy(out / name, alone)
    text = (alone / "report.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert set(links) == {"figure.png", "curves.png", "results.json"}
    assert all((alone / link).is_file() for link in links)
    results = read_results(alone / "results.json")
    for number, claim in enumerate(TOY.claims, 1):
        verdicts = claim.verdicts(results)
        assert f"| {number}. {claim.statement} | {claim.where} | **{overall(verdicts)}** |" in text
        assert all(verdict.text[1:] in text for verdict in verdicts)
    values = results.panels["transport"].values(W1)
    numbers = f"{sum(values) / 2:.3f} ({min(values):.3f} to {max(values):.3f})"
    (row,) = (line for line in text.splitlines() if line.startswith("| Transport (`transport`)"))
    assert f"| {numbers} | 5 (5 to 5) | 0 (0 to 0) |" in row
    runs.contains(text, "1. It is a toy.", "W1 between as many real samples and the data")
    assert "met      smooth cost: SqEuclidean()" in text
    assert "$ otgen reproduce own.toy --scale cpu --seeds 2 --first-seed 10\n" in text


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of otgen, as far as filing looks at it."""
    root = tmp_path / "checkout"
    (root / "src/otgen/papers/own/results").mkdir(parents=True)
    (root / "experiments").mkdir()
    monkeypatch.setattr("otgen.__file__", str(root / "src/otgen/__init__.py"))
    monkeypatch.setattr("otgen.runs.file_figure.filed", lambda figure: root / "src/otgen/papers/own/results/toy.json")
    return root


def test_a_finished_figure_is_put_in_its_places(out: Path, checkout: Path) -> None:
    done = again(out)
    written = {path.relative_to(checkout).as_posix() for path in file_figure(TOY, done)}
    folder, data = "experiments/own/toy", "src/otgen/papers/own/results/toy.json"
    assert written == {data, f"{folder}/report.md", f"{folder}/figure.png", f"{folder}/curves.png"}
    assert read_results(checkout / data) == done.results
    assert f"](../../../{data})" in (checkout / folder / "report.md").read_text()
    assert (checkout / folder / "figure.png").read_bytes() == done.picture.read_bytes()


def test_what_is_no_whole_figure_is_not_filed(out: Path, checkout: Path, tmp_path: Path) -> None:
    for done in (again(out, only=("transport",)), again(tmp_path / "smoke", scale=Scale.SMOKE)):
        input_error("only a whole figure at scale cpu or paper is filed", file_figure, TOY, done)
    shutil.rmtree(checkout / "experiments")
    input_error("is filed in a checkout of otgen", file_figure, TOY, again(out))
    assert not filed("own.toy").exists()


@pytest.mark.usefixtures("pixels")
def test_the_picture_has_a_panel_a_column(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    again(out)
    with Image.open(out / "figure.png") as picture:
        wide = picture.size
        assert len(picture.convert("RGB").getcolors(maxcolors=10**6)) > 10
    again(out, only=("transport",))
    with Image.open(out / "figure.png") as picture:
        assert picture.size[0] < 0.7 * wide[0]


def test_what_is_done_is_not_done_again(out: Path) -> None:
    def seen() -> list[object]:
        stamps = {p: p.stat().st_mtime_ns for name in NAMES for p in (out / name).rglob("*")}
        return [stamps, *((out / name).read_bytes() for name in ("report.md", "results.json"))]

    before, watching = seen(), Watching()
    again(out, watching)
    assert (watching.trained, watching.finished) == ([], NAMES)
    assert seen() == before


def test_more_seeds_train_only_what_is_missing(out: Path) -> None:
    assert trained(out, seeds=3) == ["transport-seed12", "adversarial-seed12"]
    assert [run.seed for run in read_results(out / "results.json").panels["transport"].runs] == [10, 11, 12]


@pytest.mark.parametrize("step", [1, 4])
def test_an_interrupted_figure_goes_on_with_the_same_plan(step: int, out: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    with pytest.raises(Interrupted, match=f"interrupted at step {step} of .*adversarial-seed10") as caught:
        again(cut, Watching("adversarial-seed10", step, lambda trainer: setattr(trainer, "signal", 15)), seeds=1)
    assert caught.value.signal == 15
    assert not (cut / "report.md").exists()
    assert trained(cut, seeds=1) == NAMES[1:2]
    assert [runs.bytes(cut / name) for name in NAMES[:2]] == [runs.bytes(out / name) for name in NAMES[:2]]
    # Counted over both parts.
    (run,) = read_results(cut / "results.json").panels["adversarial"].runs
    assert run.critic_updates == 2 * STEPS


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(out: Path) -> None:
    expected = runs.bytes(out / NAMES[0])
    shutil.rmtree(out / NAMES[0] / "checkpoints")
    assert trained(out) == NAMES[:1]
    assert runs.bytes(out / NAMES[0]) == expected
    assert [line["step"] for line in RunDir(out / NAMES[0]).read_metrics()] == [STEPS]


def test_another_configuration_is_refused_before_anything_is_trained(out: Path) -> None:
    watching = Watching()
    said = "transport-seed10 was started with another configuration: steps: 5 -> 9; "
    input_error(said, again, out, watching, edit=lambda config: replace(config, steps=9))
    input_error(r"steps: 5 -> 1", again, out, watching, scale=Scale.SMOKE)
    assert watching.trained == []


def test_data_that_is_missing_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    def elsewhere(scale: Scale) -> RunConfig:
        return replace(TOY.panel("transport").build(scale), data=Arrays(path=str(tmp_path / "gone.npy")))

    figure = replace(TOY, panels=(TOY.panels[0], Panel(name="adversarial", title="A", build=elsewhere)))
    watching = Watching()
    input_error(r"gone\.npy", again, tmp_path / "out", watching, figure=figure)
    assert watching.trained == []


def test_a_run_that_diverges_is_a_result(tmp_path: Path) -> None:
    done = again(tmp_path / "out", Watching("adversarial-seed11", 4, explode))
    good, bad = done.results.panels["adversarial"].runs
    assert good.diverged is None
    assert (bad.steps, bad.critic_updates, bad.values) == (4, 8, {})
    assert bad.diverged == "step 4, generator: the loss is nan"
    (compared,), (first, second) = judged(done)
    assert "1 of 2 seeds (1 diverged)" in compared.text
    assert "all met by 2 of 2 seeds" in first.text
    assert "all met by 1 of 2 seeds, 1 diverged" in second.text
    text = done.report.read_text()
    assert "`adversarial`, 1 diverged" in text
    assert trained(tmp_path / "out") == []  # it would diverge again
    assert read_results(done.data) == done.results


def test_a_panel_that_diverged_at_once_is_drawn_empty(tmp_path: Path) -> None:
    done = again(tmp_path / "out", Watching("adversarial-seed10", 1, explode), seeds=1)
    assert done.picture.is_file()
    assert json.loads(done.data.read_text())["panels"]["adversarial"]["runs"][0]["values"] == {}


def test_an_evaluation_of_another_kind_is_not_taken(out: Path) -> None:
    expected = json.loads((out / "results.json").read_text())
    for name in NAMES:
        evaluate_run(RunDir(out / name), n=20, seed=7)
    again(out)
    assert json.loads((out / "results.json").read_text()) == expected


def test_half_written_files_are_written_again(out: Path) -> None:
    expected = (out / "results.json").read_text()
    (out / NAMES[0] / "eval" / f"step_{STEPS:08d}.json").write_text('{"step": 5, "sam')
    with pytest.warns(DamageWarning, match="cannot be read and is left out"):
        again(out)
    assert (out / "results.json").read_text() == expected
    shutil.rmtree(out / NAMES[1] / "checkpoints")
    (out / NAMES[1] / "env.json").unlink()
    assert trained(out) == [NAMES[1]]
    assert json.loads((out / "results.json").read_text())["environments"] == json.loads(expected)["environments"]


def test_panels_that_were_left_out_have_no_verdict(tmp_path: Path) -> None:
    done = again(tmp_path / "out", only=("adversarial",), seeds=1)
    assert list(done.results.panels) == ["adversarial"]
    (compared,), (first, second) = judged(done)
    assert {v.status for v in (compared, first)} == {Status.NOT_TESTED}
    assert compared.text == first.text == "transport: not run"
    assert "all met by 1 of 1 seeds" in second.text
    assert "--panels adversarial" in done.report.read_text()


def test_smoke_is_one_seed_and_no_verdict(tmp_path: Path) -> None:
    done = again(tmp_path / "out", scale=Scale.SMOKE)
    assert [len(panel.runs) for panel in done.results.panels.values()] == [1, 1]
    assert {v.status for verdicts in judged(done) for v in verdicts} == {Status.NOT_TESTED}
    assert done.results.panels["transport"].values(W1)[0] > 0


@pytest.mark.usefixtures("pixels")
def test_images_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((60, 192)).astype(np.float32))
    data = Arrays(path=str(tmp_path / "images.npy"), sample_shape=(3, 8, 8))
    done = again(tmp_path / "out", seeds=1, edit=lambda config: replace(config, data=data))
    with Image.open(done.picture) as picture:
        assert min(picture.size) > 300


def test_impossible_plans_are_refused(tmp_path: Path) -> None:
    input_error("at least one seed", Plan, figure=TOY, out=tmp_path, seeds=0)
    input_error("did you mean 'transport'", Plan, figure=TOY, out=tmp_path, only=("trnsport",))


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "out" / "transport-seed10"
    other.mkdir(parents=True)
    (other / "letter.txt").write_text("dear")
    input_error("is no run", again, tmp_path / "out")
    input_error("choose another --out", again, other / "letter.txt")


def test_a_run_that_another_process_is_at_is_left_to_it_and_taken_over_in_the_end(tmp_path: Path) -> None:
    plan = Plan(figure=TOY, out=tmp_path / "toy", seeds=1)
    first, second = plan.jobs()
    (tmp_path / "toy").mkdir()
    watching = Watching()
    with locked(first.run.path, wait=False) as mine:
        assert mine
        with locked(first.run.path, wait=False) as twice:
            assert not twice
        worker = threading.Thread(target=train_all, args=(plan, watching), daemon=True)
        worker.start()
        assert watching.one_done.wait(60)
        assert watching.finished == [second.run.path.name]
        assert list(first.run.path.iterdir()) == []
    worker.join(60)
    assert watching.finished == [second.run.path.name, first.run.path.name]
    assert reproduce(plan).picture.is_file()
    assert not [p for p in plan.out.iterdir() if p.name.startswith(".")]


def test_a_run_that_ends_by_its_own_test_is_done(tmp_path: Path) -> None:
    def settles(scale: Scale = Scale.CPU) -> RunConfig:
        trainer = replace(TOY.panels[0].build(scale).trainer, checkpoint_every=1)
        method, laws = SCO(cells=Cells(low=-4.0, high=4.0, count=16)), {"data": Gaussian1D(), "latent": Normal(dim=1)}
        return RunConfig(**laws, generator=LocationScale(), method=method, trainer=trainer, steps=50)

    figure = replace(TOY, panels=(Panel(name="sco", title="SCO", build=settles),), main="sco", claims=(), seeds=1)
    plan, watching = Plan(figure=figure, out=tmp_path / "out"), Watching()
    outcomes = train_all(plan, watching)
    (outcome,) = outcomes.values()
    assert (outcome.steps, outcome.stopped) == (1, True)  # data and generator are one law
    assert train_all(plan, watching) == outcomes
    assert watching.trained == ["sco-seed10"]


def test_a_half_finished_run_whose_configuration_is_in_other_words_goes_on(out: Path) -> None:
    run = RunDir(out / NAMES[0])
    shutil.rmtree(run.checkpoints)
    run.config.write_text(f"# As an earlier version wrote it.\n{run.config.read_text()}")
    assert trained(out) == NAMES[:1]
