"""`otgen train`: files of options, own components, own images."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from cases.runs import Call, Says, bytes, contains
from otgen.cli.report import is_wide, metrics_lines, narrowed
from otgen.errors import FewDataWarning
from otgen.methods import WGAN, PixelSinkhorn, SinkhornAutoDiff
from otgen.ot import KL, Relative
from otgen.papers import Scale, find_figure
from otgen.train import RunDir, Trainer, checkpoint
from otgen.train.config import plain


def test_a_printed_configuration_can_be_fed_back(succeeds: Says, trained: Path, tiny: Any) -> None:
    printed = succeeds("train", *tiny, "--seed", "0", "--print_config")
    Path("printed.yaml").write_text(printed)
    assert printed == (trained / "config.yaml").read_text()
    for recipe in (("toy.gaussians25",), ()):
        assert succeeds("train", *recipe, "--config", "printed.yaml", "--print_config") == printed


@pytest.mark.parametrize("recipe", [("toy.gaussians25",), ()], ids=str)
def test_the_configuration_of_a_run_can_be_fed_back(recipe: tuple[str, ...], succeeds: Says, trained: Path) -> None:
    succeeds("train", *recipe, "--config", trained / "config.yaml", "--out", "fed")
    assert bytes(Path("fed")) == bytes(trained)
    assert Path("fed/config.yaml").read_text() == (trained / "config.yaml").read_text()


def test_flags_win_over_the_file(otgen: Call, trained: Path) -> None:
    result = otgen("train", "--config", trained / "config.yaml", "--steps", "2", "--out", "short")
    assert result.code == 0
    assert checkpoint.newest(Path("short/checkpoints")).name == "step_00000002"


def test_an_unknown_key_of_a_file_is_guessed(refused: Call, trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    Path("bad.yaml").write_text(yaml.safe_dump(config | {"sed": 3}))
    assert "did you mean 'seed'" in refused("train", "--config", "bad.yaml", "--out", "run", code=2)
    config["trainer"]["emma"] = 0.5
    Path("bad.yaml").write_text(yaml.safe_dump(config))
    assert "did you mean 'ema'" in refused("train", "--config", "bad.yaml", "--out", "run", code=2)


def test_a_file_cannot_run_code(otgen: Call, tmp_path: Path) -> None:
    Path("bad.yaml").write_text("seed: !!python/object/apply:os.system ['touch executed']\nsteps: 1\n")
    assert otgen("train", "--config", "bad.yaml", "--out", "run").code == 2
    assert not (tmp_path / "executed").exists()


def test_the_help_shows_values_that_are_accepted(otgen: Call) -> None:
    text = " ".join(otgen("train", "--help").out.split())
    contains(text, "{smoke,cpu,paper}", "{auto,cpu,cuda}")


@pytest.fixture
def own() -> Any:
    """A module in the working directory, as a user writes it."""
    shutil.copy(Path(__file__).parents[1] / "cases" / "own_parts.py", "own_parts.py")
    yield "own_parts"
    sys.modules.pop("own_parts", None)


def test_own_components_are_named_on_the_command_line(own: str, otgen: Call, succeeds: Says, tiny: Any) -> None:
    bare = [word for word in tiny if word not in ("--generator.widths", "[6]")]
    words = ("--method.cost", f"{own}.MyCost", "--method.cost.factor", "3", "--generator", f"{own}.MyNet")
    succeeds("train", *bare, *words, "--out", "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["method"]["init_args"]["cost"] == {"class_path": "own_parts.MyCost", "init_args": {"factor": 3.0}}
    assert set(load_file(checkpoint.newest(Path("run/checkpoints")) / "generator.safetensors")) == {"weight", "bias"}
    for later in (
        ("sample", "run", "--out", "s.npz"),
        ("eval", "run"),
        ("train", "--resume", "--out", "run", "--steps", "6"),
        ("train", "--config", "run/config.yaml", "--out", "again"),
    ):
        asked = otgen(*later)
        assert (asked.code, asked.out, asked.err.count("\n")) == (2 if "--config" in later else 1, "", 1)
        contains(asked.err, "run/config.yaml: 'own_parts.My", f"otgen {' '.join(later)} --plugins DIR\n")
        assert otgen(*later, "--plugins", ".").code == 0


def test_samples_need_no_own_cost_and_the_next_command_names_its_folder(
    own: str, otgen: Call, succeeds: Says, tiny: Any
) -> None:
    said = succeeds("train", *tiny, "--method.cost", f"{own}.MyCost", "--out", "run")
    assert re.search(r"^Next \(.*\): otgen train .* --plugins \.$", said, re.MULTILINE)
    sys.modules.pop(own)
    for words in (("sample", "run", "--out", "s.npz"), ("export", "run", "--out", "g.pt2")):
        assert otgen(*words).code == 0
    assert own not in sys.modules
    asked = otgen("eval", "run")
    contains(asked.err, "'own_parts.MyCost' is no class of otgen", "otgen eval run --plugins DIR")
    assert re.search(
        r"^Next \(.*\): otgen train .* --plugins \.$", succeeds("eval", "run", "--plugins", "."), re.MULTILINE
    )


def test_an_own_method_is_named_on_the_command_line(own: str, succeeds: Says) -> None:
    words = ("--scale", "smoke", "--steps", "2", "--trainer.eval_samples", "20")
    succeeds("train", "toy.gaussians25", *words, "--method", f"{own}.MyMethod", "--method.batch", "9")


def test_an_own_cost_solves(own: str, succeeds: Says) -> None:
    np.save("x.npy", np.array([[0.0], [1.0]]))
    assert succeeds("solve", "x.npy", "x.npy", "--cost", f"{own}.MyCost", "--reg", "NoReg").startswith("value=0 ")


def test_a_missing_module_is_one_line(refused: Call, tiny: Any) -> None:
    assert "nowhere_to_be_found" in refused("train", *tiny, "--method.cost", "nowhere_to_be_found.MyCost", code=2)


@pytest.fixture(params=[(1, 8), (3, 16)], ids=["grey", "colour"])
def folder(request: Any) -> tuple[str, int, int]:
    """A folder of a dozen small pictures, some in a folder below."""
    channels, side = request.param
    chance = np.random.default_rng(0)
    Path("pictures/below").mkdir(parents=True)
    for k in range(12):
        pixels = chance.integers(0, 256, (side, side) if channels == 1 else (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(Path("pictures") / ("below" if k % 3 == 0 else "") / f"{k}.png")
    return "pictures", channels, side


@pytest.mark.parametrize("recipe", ["digits", "digits.features"])
def test_an_own_folder_of_images_trains(recipe: str, folder: tuple[str, int, int], otgen: Call, succeeds: Says) -> None:
    name, channels, side = folder
    # Every two of recipe, network and kind of image meet.
    dcgan = (recipe == "digits") == (channels == 1)
    net = ("DcganGenerator", "--generator.width", "4") if dcgan else ("MlpGenerator", "--generator.widths", "[8]")
    words = ("--data", "ImageFolder", "--data.folder", name, "--data.size", side, "--data.channels", channels)
    common = ("--scale", "smoke", "--steps", "2", "--method.batch", "8", "--trainer.eval_samples", "40")
    succeeds("train", recipe, *common, *words, "--generator", *net, "--out", "run")
    assert otgen("sample", "run", "--out", "s.npz", "--n", "5").code == 0
    samples = np.load("s.npz")["samples"]
    assert samples.shape == (5, channels, side, side)
    assert 0 <= samples.min() <= samples.max() <= 1
    with Image.open("run/samples/step_00000002.png") as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")


def test_bad_pictures_are_listed_by_name(refused: Call, folder: tuple[str, int, int]) -> None:
    (Path("pictures") / "broken.png").write_bytes(b"no picture")
    words = ("--data", "ImageFolder", "--data.folder", "pictures", "--data.size", folder[2])
    assert "broken.png" in refused("train", "digits", "--scale", "smoke", *words, "--out", "run", code=1)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_data_set_of_one_or_two_points_trains_to_the_end(rows: int, succeeds: Says, tiny: Any) -> None:
    np.save("points.npy", np.random.default_rng(0).normal(size=(rows, 2)))
    with pytest.warns(FewDataWarning, match=rf"a batch of \d+ of {rows} data has some of them several times"):
        succeeds("train", *tiny, "--data", "Arrays", "--data.path", "points.npy", "--out", "run")


METHOD = ("--method", "SinkhornAutoDiff", "--method.batch", "16")


def test_what_is_printed_is_what_is_trained(otgen: Call, succeeds: Says, tiny: Any) -> None:
    """Another method than the recipe's starts from its own defaults, in either."""
    printed = succeeds("train", *tiny, *METHOD, "--print_config")
    assert otgen("train", *tiny, *METHOD, "--out", "run").code == 0
    assert printed == Path("run/config.yaml").read_text()
    assert yaml.safe_load(printed)["method"]["init_args"]["features"] == SinkhornAutoDiff().features


def test_a_panel_of_a_figure_is_a_recipe(otgen: Call, refused: Call) -> None:
    printed = otgen("train", "seqsgda.fig4/ot-gan", "--scale", "smoke", "--print_config")
    expected = find_figure("seqsgda.fig4").panel("ot-gan").build(Scale.SMOKE)
    assert yaml.safe_load(printed.out) == plain(expected)
    assert "did you mean 'ot-gan'?" in refused("train", "seqsgda.fig4/otgan", code=1)


def test_a_method_in_the_place_of_a_recipe_is_told_how(refused: Call) -> None:
    line = refused("train", "OTGAN", code=2)
    contains(line, "OTGAN is a method", "--method OTGAN", "seqsgda.fig4/ot-gan")


def test_a_solver_that_cannot_leaves_no_run(refused: Call, tiny: Any) -> None:
    words = ("--method.solver", "PositiveFeatures", "--method.cost", "L1", "--out", "run")
    assert "PositiveFeatures cannot solve a problem with L1()" in refused("train", *tiny, *words, code=1)
    assert not Path("run").exists()


def test_a_long_budget_can_be_read_back(succeeds: Says, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "progress", property(lambda self: float(self.state.step >= 1)))
    succeeds("train", *tiny, "--steps", "null", "--budget", "300h", "--out", "run")
    assert RunDir.open(Path("run")).load_config().budget == 300 * 3600


def test_labels_say_what_the_numbers_are() -> None:
    _, label = metrics_lines({"copy_exact": 7.0})
    assert "share" not in label  # it is a count


def test_a_run_that_its_method_ended_says_so_and_does_not_go_on(otgen: Call, refused: Call) -> None:
    words = ("--scale", "smoke", "--steps", "50", "--method.stop", "10")
    result = otgen("train", "sco.fig3", *words, "--out", "ended")
    assert result.code == 0
    # The second is of the grid, and no minibatch's.
    contains(result.out, "Ended at step 1 by the method's own test", "(W1 of both laws' masses on the grid, at step ")
    line = refused("train", "sco.fig3", "--resume", "--out", "ended", "--steps", "60", code=2)
    contains(line, "ended ended at step 1 by its method's own test: it cannot go on", "--method.stop 0")


def test_a_loss_that_is_hardly_known_is_told() -> None:
    """The one that showed the need: a solver's ten steps under a cost that had grown."""
    assert is_wide({"loss": 10789.0, "lower": 10789.0, "upper": 23577.0})
    assert is_wide({"loss": -1.0, "lower": -1.5, "upper": -0.5})
    assert not is_wide({"loss": 0.079538, "lower": 0.079538, "upper": 0.082142})


@pytest.mark.parametrize(
    ("reg", "options"),
    [
        (KL(eps=0.5), "--method.max_steps 400 or --method.reg.eps 1"),
        (KL(eps=Relative(0.1)), "--method.max_steps 400 or --method.reg.eps '0.2*mean'"),
    ],
    ids=str,
)
def test_what_narrows_an_interval_can_be_typed(reg: KL, options: str, succeeds: Says) -> None:
    assert narrowed(PixelSinkhorn(reg=reg)) == f": {options} narrows it"
    typed = shlex.split(options.replace(" or ", " "))
    printed = yaml.safe_load(
        succeeds("train", "toy.gaussians25", "--method", "PixelSinkhorn", *typed, "--print_config")
    )
    assert printed["method"]["init_args"]["max_steps"] == 400
    assert narrowed(WGAN()) == ""
