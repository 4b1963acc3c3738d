"""Configurations: to YAML and back, differences, and what is refused."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cases.errors import input_error
from cases.parser_words import is_ours
from cases.runs import REQUIRED
from otgen import data, methods, nets, ot, papers
from otgen.data import Arrays, Digits, Gaussians8, ImageFolder, Uniform, ValueRange
from otgen.errors import suggestion
from otgen.methods import WGANGP, Adam, GradientPenalty, PixelSinkhorn, SinkhornAutoDiff
from otgen.ot import KL, Envelope, NoReg, Quadratic, Relative
from otgen.papers import Scale
from otgen.train import Device, Duration, RunConfig, TrainerConfig
from otgen.train.config import differences, parse_relative, plain
from otgen.train.config_files import load, save, text_of

VARIED = {
    "plain": RunConfig(steps=3),
    "arrays": RunConfig(
        data=Arrays(path="a b.csv", columns=("x", "0"), standardise=True, sample_shape=(1, 2), scale=1 / 3),
        latent=Uniform(dim=3, low=-0.1, high=1e-7),
        steps=1,
    ),
    "images": RunConfig(
        data=ImageFolder(folder="~/ü", size=64, channels=1, pixel_range=ValueRange.SYMMETRIC),
        generator=nets.DcganGenerator(width=8, batch_norm=False),
        method=SinkhornAutoDiff(critic=nets.DcganCritic(width=4), gradient=Envelope(), clip=1e-5),
        steps=10**7,
    ),
    "odd": RunConfig(
        data=Gaussians8(),
        generator=nets.MlpGenerator(widths=(), activation=nets.Activation.TANH),
        method=SinkhornAutoDiff(
            critic=nets.MlpCritic(widths=(3,), activation=nets.Activation.RELU),
            cost=ot.PNorm(p=1.5),
            reg=Quadratic(eps=Relative(1 / 3)),
            solver=ot.Sinkhorn(),
            generator_optimizer=Adam(lr=1e-12, beta1=0.1 + 0.2),
        ),
        trainer=TrainerConfig(ema=0, device=Device.CPU, threads=3, eval_every=7),
        seed=2**40,
        budget=Duration(90),
    ),
    "a paper's networks": RunConfig(
        generator=nets.SWGANCifarGenerator(width=2, kernel=3, glu=nets.GluReading.PRE),
        method=SinkhornAutoDiff(critic=nets.SWGANCifarCritic(width=2, slope=0.1, affine=False)),
        steps=1,
    ),
    "text that looks like something else": RunConfig(data=Arrays(path="1e3", key="12"), steps=1),
    "a penalty": RunConfig(method=WGANGP(penalty=GradientPenalty(weight=3, one_sided=True)), steps=1),
    "no regulariser": RunConfig(method=PixelSinkhorn(reg=NoReg(), solver=ot.Exact()), steps=1),
}
VARIED |= {f"{r.name}, {scale}": r.build(scale) for r in papers.names() for scale in Scale}


@pytest.mark.parametrize("name", VARIED)
def test_a_configuration_survives_its_file(name: str, tmp_path: Path) -> None:
    config, file = VARIED[name], tmp_path / "config.yaml"
    save(config, file)
    again = load(file)
    assert again == config
    assert plain(again) == plain(config)
    assert differences(config, again) == []
    text = file.read_text()
    save(again, file)
    assert file.read_text() == text


def _types(value: Any) -> set[type]:
    if isinstance(value, dict):
        return set().union({dict}, *(_types(v) for v in value.values()))
    if isinstance(value, list):
        return set().union({list}, *(_types(v) for v in value))
    return {type(value)}


@pytest.mark.parametrize("name", VARIED)
def test_a_file_holds_plain_values_and_all_of_them(name: str) -> None:
    found = plain(VARIED[name])
    assert _types(found) <= {dict, list, str, int, float, bool, type(None)}
    assert set(found) == {f.name for f in dataclasses.fields(RunConfig)}
    assert set(found["trainer"]) == {f.name for f in dataclasses.fields(TrainerConfig)}
    method = VARIED[name].method
    assert set(found["method"]["init_args"]) == {f.name for f in dataclasses.fields(method)}


def _components() -> list[type]:
    found = [getattr(module, name) for module in (data, nets, methods, ot) for name in module.__all__]
    kinds = (data.Source, nets.GeneratorNet, nets.CriticNet, methods.Method, ot.Cost, ot.Regulariser, ot.Solver)
    return [c for c in found if isinstance(c, type) and issubclass(c, kinds) and not c.__abstractmethods__]


@pytest.mark.parametrize("component", _components(), ids=lambda c: c.__name__)
def test_every_component_is_named_by_its_package(component: type) -> None:
    name, package = component.__name__, component.__module__.split(".")[1]
    made = component(**dict([REQUIRED[name]] if name in REQUIRED else []))
    assert plain(made)["class_path"] == f"otgen.{package}.{name}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    {"90": 90, "150s": 150, "2m": 120, "1h": 3600, "0.5h": 1800, ".5": 0.5, " 3 m ": 180, 7: 7, 2.5: 2.5}.items(),
)
def test_durations(text: Any, seconds: float) -> None:
    assert Duration.parse(text) == seconds
    assert isinstance(Duration.parse(text), Duration)


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-3", "1d", "h", "1 2", "nan", "inf", "1:30", "1e999", None, [], "2m30s"]
)
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match=r"not a duration: .*write 90, 150s, 2m or 1h"):
        Duration.parse(text)


@given(st.floats(1e-3, 1e8) | st.integers(1, 10**9).map(float))
def test_durations_survive_their_text(seconds: float) -> None:
    assert Duration.parse(str(Duration(seconds))) == seconds


@pytest.mark.parametrize(
    ("text", "factor"), [("0.05*mean", 0.05), ("1 * mean", 1), (" 1e-3*mean", 1e-3), ({"factor": 0.2}, 0.2)]
)
def test_relative_weights(text: Any, factor: float) -> None:
    assert parse_relative(text) == Relative(factor)


@given(st.floats(1e-9, 1e9))
def test_relative_weights_survive_their_text(factor: float) -> None:
    assert parse_relative(str(Relative(factor))) == Relative(factor)


@pytest.mark.parametrize("text", ["0.05", "mean", "*mean", "0.05*max", "mean*0.05", "x*mean", "-1*mean", "1e*mean"])
def test_what_is_no_relative_weight(text: str) -> None:
    with pytest.raises(ValueError, match="mean|Relative|positive|float"):
        parse_relative(text)


def test_differences_are_named_with_both_values() -> None:
    old = RunConfig(steps=3)
    parts = {"method": PixelSinkhorn(reg=KL(eps=2.0), batch=7), "generator": nets.MlpGenerator(widths=(1, 2))}
    new = replace(old, seed=1, trainer=replace(old.trainer, ema=0.5), **parts)
    assert differences(old, old) == []
    assert differences(old, new) == [
        "generator.widths: [256, 512, 1024] -> [1, 2]",
        "method.batch: 256 -> 7",
        "method.reg.eps: 0.05*mean -> 2.0",
        "seed: 0 -> 1",
        "trainer.ema: 0.99 -> 0.5",
    ]


def test_differences_of_components_name_the_classes() -> None:
    found = differences(RunConfig(steps=3), RunConfig(steps=3, data=Gaussians8(), method=SinkhornAutoDiff()))
    assert "data.class_path: otgen.data.Digits -> otgen.data.Gaussians8" in found
    assert "method.class_path: otgen.methods.PixelSinkhorn -> otgen.methods.SinkhornAutoDiff" in found
    assert "data.radius: None -> 2.0" in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": None}, "either steps or a budget, got steps=None and budget=None"),
        ({"budget": Duration(3)}, "either steps or a budget"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_impossible_runs_are_refused(change: dict[str, Any], message: str) -> None:
    input_error(message, replace, RunConfig(steps=1), **change)


IMPOSSIBLE = [{name: 0} for name in ("log_every", "sample_every", "checkpoint_every", "keep", "eval_samples")]
IMPOSSIBLE += [{name: -1} for name in ("eval_every", "eval_points", "threads")]
IMPOSSIBLE += [{"ema": ema} for ema in (1.0, -0.1, float("nan"))]


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=str)
def test_impossible_trainers_are_refused(change: dict[str, Any]) -> None:
    said = "trainer: log_every, sample_every, checkpoint_every, keep and eval_samples must be at least 1"
    input_error(said, TrainerConfig, **change)


def _with(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(plain(RunConfig(steps=1)) | changes))
    return file


BAD_FILES = {
    "unknown key": {"sed": 3},
    "unknown key of a component": {"latent": {"class_path": "otgen.data.Normal", "init_args": {"dims": 3}}},
    "unknown class": {"latent": {"class_path": "otgen.data.Norml", "init_args": {}}},
    "class of another kind": {"latent": {"class_path": "otgen.ot.SqEuclidean", "init_args": {}}},
    "wrong type": {"seed": "three"},
    "fraction of a step": {"steps": 1.5},
    "list for a number": {"seed": [1]},
    "unknown member": {"trainer": {"device": "tpu"}},
    "out of range": {"seed": -1},
    "both lengths": {"budget": "3s"},
    "impossible options of what may be left out": {
        "method": {"class_path": "otgen.methods.SCO", "init_args": {"adam": {"beta1": -1.0}}}
    },
    "bad duration": {"steps": None, "budget": "soon"},
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    file = _with(tmp_path, **BAD_FILES[case])
    message = input_error(None, load, file)
    assert message.startswith(f"{file} is no configuration of a run: ")
    assert is_ours(message)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "a: b: c", "steps: [1", "\x00", "- steps: 3"])
def test_what_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    input_error("is no configuration of a run", load, file)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    input_error(r"nothing\.yaml", load, tmp_path / "nothing.yaml")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/object/apply:subprocess.call"])
def test_a_file_cannot_run_code(tag: str, tmp_path: Path) -> None:
    sentinel = tmp_path / "executed"
    file = tmp_path / "config.yaml"
    file.write_text(f"steps: 1\nseed: {tag} ['touch {sentinel}']\n")
    input_error(None, load, file)
    assert not sentinel.exists()


def test_a_file_cannot_name_what_is_no_component(tmp_path: Path) -> None:
    sentinel = tmp_path / "executed"
    for path in ("pathlib.Path.touch", "os.system", "subprocess.Popen"):
        file = _with(tmp_path, data={"class_path": path, "init_args": {"args": f"touch {sentinel}"}})
        input_error(None, load, file)
        assert not sentinel.exists()


def test_the_environment_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    file = tmp_path / "config.yaml"
    save(RunConfig(data=Arrays(path="$SECRET/${SECRET}"), steps=1), file)
    assert load(file).data.path == "$SECRET/${SECRET}"


def test_a_short_file_leaves_the_rest_at_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("steps: 5\nmethod:\n  class_path: otgen.methods.PixelSinkhorn\n  init_args: {batch: 3}\n")
    assert load(file) == RunConfig(steps=5, method=PixelSinkhorn(batch=3))


def test_a_run_from_before_anything_was_held_out_holds_nothing_out(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    text = text_of(RunConfig(steps=5))
    old = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("#", "holdout")))
    file.write_text(f"# sha256 of what follows: {hashlib.sha256(old.encode()).hexdigest()}\n{old}")
    assert load(file) == RunConfig(steps=5, holdout=0.0)


def test_configurations_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig(steps=1).steps = 2  # type: ignore[misc]
    assert RunConfig(steps=1, data=Digits()) == RunConfig(steps=1)
    assert hash(RunConfig(steps=1)) == hash(RunConfig(steps=1))


def test_suggestions() -> None:
    assert suggestion("--sed", ["--seed", "--steps"]) == "; did you mean '--seed'?"
    assert suggestion("--xyz", ["--seed", "--steps"]) == ""


@dataclass(frozen=True, kw_only=True)
class OwnCost(ot.Cost):
    """A component that no package of ours exports."""

    power: float = 2.0

    def paired(self, x: Any, y: Any) -> Any:
        return (x - y).abs().pow(self.power).sum(-1)


def test_an_own_component_is_named_by_its_module() -> None:
    assert plain(OwnCost(power=3.0)) == {"class_path": f"{__name__}.OwnCost", "init_args": {"power": 3.0}}


def test_all_policies_are_written_by_their_values() -> None:
    config = plain(VARIED["images"])
    assert config["method"]["init_args"]["value"] == "entropic"
    assert config["method"]["init_args"]["gradient"] == {"class_path": "otgen.ot.Envelope", "init_args": {}}
    assert not any(isinstance(v, enum.Enum) for v in _leaves(config))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in _leaves(v)]
    return [leaf for v in value for leaf in _leaves(v)] if isinstance(value, list) else [value]
