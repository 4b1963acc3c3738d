"""A run that is conditioned on labels: asked for one, evaluated, pictured, damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases.checkpoints import change, sum_again
from cases.errors import input_error
from otgen.cli.main import main
from otgen.data import ImageFolder, Normal, Table
from otgen.methods import Adam, PixelSinkhorn
from otgen.nets import MlpGenerator
from otgen.ot import KL
from otgen.runs import draw_run, evaluate_run, load_generator, sample_rows, sample_run
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig, checkpoint
from otgen.train.hooks import Checkpoints, Log, Pictures

COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 30), "red": (230, 20, 20)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Trained on three folders of colours; the folders are gone."""
    folder = tmp_path_factory.mktemp("labels")
    noise = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for k in range(25):
            pixels = np.array(colour) + noise.integers(-20, 20, (4, 4, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "photos" / name / f"{k}.png")
    config = RunConfig(
        data=ImageFolder(folder=str(folder / "photos"), size=4, label="folder"),
        latent=Normal(dim=2),
        generator=MlpGenerator(widths=(8,)),
        method=PixelSinkhorn(batch=30, reg=KL(eps=0.5), max_steps=20, generator_optimizer=Adam(lr=0.08)),
        trainer=TrainerConfig(eval_samples=60, threads=1),
        steps=40,
    )
    run = RunDir.create(folder / "run", config)
    Trainer(config, run, [Log(), Pictures(), Checkpoints()]).train()
    evaluate_run(run)
    shutil.rmtree(folder / "photos")
    return run


@pytest.fixture
def copied(trained: RunDir, tmp_path: Path) -> RunDir:
    return RunDir.open(Path(shutil.copytree(trained.path, tmp_path / "copy")))


def test_each_label_gives_its_colour_and_needs_no_data(trained: RunDir) -> None:
    for name, colour in COLOURS.items():
        samples, span = sample_run(trained, 16, 0, label=name)
        assert span == (0.0, 1.0)
        torch.testing.assert_close(samples.mean((0, 2, 3)), torch.tensor(colour) / 255, atol=0.15, rtol=0)


def test_without_a_label_they_come_by_their_shares_and_are_named(trained: RunDir) -> None:
    drawn = draw_run(trained, 300, 0)
    assert drawn.labels is not None
    shares = {name: drawn.labels.count(name) / 300 for name in COLOURS}
    assert all(0.2 < share < 0.5 for share in shares.values())
    brightest = drawn.values.mean((2, 3)).argmax(1).tolist()
    of = {"red": 0, "green": 1, "blue": 2}
    assert sum(of[name] == k for name, k in zip(drawn.labels, brightest, strict=True)) > 290
    assert torch.equal(sample_run(trained, 300, 0)[0], drawn.values)
    assert draw_run(trained, 4, 0, label="red").labels == ("red",) * 4


def test_the_generator_reads_one_hot_vectors_and_makes_images_alone(trained: RunDir) -> None:
    generator, shapes = load_generator(trained)
    assert shapes.labels is not None
    assert shapes.labels.names == tuple(COLOURS)
    codes = torch.cat([torch.zeros(3, 2), torch.eye(3)], 1)
    assert generator(codes).shape == (3, 3, 4, 4)


def test_what_is_no_label_is_refused_in_a_line(trained: RunDir, finished: dict[str, Path]) -> None:
    input_error(
        "no label is called 'gren'; the 3 labels are: blue, green, red; did you mean 'green'",
        lambda: sample_run(trained, 2, 0, label="gren"),
    )
    plain = RunDir.open(finished["plane"])
    input_error("not conditioned on labels, so it cannot be asked for 'a'", lambda: sample_run(plain, 2, 0, label="a"))
    assert draw_run(plain, 2, 0).labels is None


def test_its_evaluation_has_each_label(trained: RunDir) -> None:
    (values,) = trained.read_evaluations()
    for name in COLOURS:
        assert values[f"class/{name}/w1_matched"] > 0
        assert values[f"class/{name}/w1_real"] > 0


def test_its_picture_has_a_row_for_each_label(trained: RunDir) -> None:
    with Image.open(trained.samples / "step_00000040.png") as picture:
        image = np.asarray(picture)
    side = image.shape[1] // 10
    assert image.shape[0] // side == 3
    rows = [image[k * side + side // 2].mean(0) for k in range(3)]
    assert [int(row.argmax()) for row in rows] == [2, 1, 0]


def test_the_command_asks_for_a_label_and_says_which_it_made(
    trained: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sample(name: str, *more: str) -> int:
        return main(["sample", str(trained.path), "--n", "12", "--out", str(tmp_path / name), *more])

    assert sample("all.npz") == 0
    with np.load(tmp_path / "all.npz") as file:
        assert tuple(file["labels"]) == draw_run(trained, 12, 0).labels
        assert file["samples"].shape == (12, 3, 4, 4)
    assert sample("red.npz", "--label", "red") == 0
    with np.load(tmp_path / "red.npz") as file:
        assert set(file["labels"]) == {"red"}
    capsys.readouterr()
    assert sample("none.npz", "--label", "rot") == 1
    assert "no label is called 'rot'; the 3 labels are: blue, green, red" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda table: table | {"names": ["a"]}, "labels: names must be a list of 2 to 1,000 labels"),
        (lambda table: table | {"shares": [0.5, 0.5]}, "labels: shares must be a positive number for each"),
        (lambda table: 3, "labels: it must be a table of names, shares and length"),
    ],
)
def test_damaged_labels_are_named(copied: RunDir, labels: Callable[[object], object], said: str) -> None:
    newest = checkpoint.newest(copied.checkpoints)
    for other in checkpoint.checkpoints(copied.checkpoints):
        if other != newest:
            shutil.rmtree(other)
    change(newest / "state.json", lambda about: about | {"labels": labels(about["labels"])})
    sum_again(newest)
    input_error(said, sample_run, copied, 2, 0)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Two steps on the table that comes with the package."""
    config = RunConfig(
        data=Table(label="station"),
        latent=Normal(dim=4),
        generator=MlpGenerator(widths=(8,)),
        method=PixelSinkhorn(batch=30, reg=KL(eps=0.5), max_steps=5),
        trainer=TrainerConfig(eval_samples=150, threads=1),
        steps=2,
    )
    run = RunDir.create(tmp_path_factory.mktemp("table") / "run", config)
    Trainer(config, run, [Checkpoints()]).train()
    return run


@pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")
def test_rows_of_a_label_have_it_in_its_column(table: RunDir) -> None:
    real = Table().frame()
    levels = sorted(set(real["station"]))
    rows = sample_rows(table, 200, 0)
    assert list(rows.columns) == list(real.columns)
    assert sorted(set(rows["station"])) == levels
    assert set(sample_rows(table, 20, 0, label=levels[-1])["station"]) == {levels[-1]}
    assert tuple(rows["station"]) == draw_run(table, 200, 0).labels
    input_error("no label is called 'x'", lambda: sample_rows(table, 2, 0, label="x"))


def test_a_label_is_asked_for_and_listed_as_the_table_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,member\n" + "".join(f"{k % 9}.5,{'true' if k % 3 else 'false'}\n" for k in range(60)))
    config = RunConfig(
        data=Table(path=str(path), label="member"),
        latent=Normal(dim=2),
        generator=MlpGenerator(widths=(4,)),
        method=PixelSinkhorn(batch=10, reg=KL(eps=0.5), max_steps=2),
        trainer=TrainerConfig(eval_samples=50, threads=1),
        steps=1,
    )
    run = RunDir.create(tmp_path / "run", config)
    Trainer(config, run, [Checkpoints()]).train()
    for word in ("true", "True", "TRUE"):
        assert draw_run(run, 3, 0, label=word).labels == ("true",) * 3
    assert sample_rows(run, 3, 0, label="False")["member"].tolist() == [False] * 3
    input_error("no label is called 'yes'; the 2 labels are: false, true", lambda: draw_run(run, 3, 0, label="yes"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")
def test_an_evaluation_of_a_table_has_each_label(table: RunDir) -> None:
    values = evaluate_run(table).values
    assert all(values[f"class/{level}/w1_matched"] > 0 for level in set(Table().frame()["station"]))
    assert values["marginal_ks"] >= 0
