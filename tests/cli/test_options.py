"""Every component that can be named, from every recipe: chosen by its name, built, printed, read back."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from enum import StrEnum
from itertools import zip_longest
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cases.runs import REQUIRED, Call
from otgen import data, methods, nets, ot, papers
from otgen.data import ImageFolder, ValueRange
from otgen.methods import SinkhornAutoDiff
from otgen.nets import Activation
from otgen.train import RunConfig, RunDir, Trainer
from otgen.train.config_files import load, save

ConfigOf = Callable[..., RunConfig]

KINDS: dict[str, tuple[Any, type]] = {
    "data": (data, data.Source),
    "latent": (data, data.Source),
    "generator": (nets, nets.GeneratorNet),
    "method": (methods, methods.Method),
    "method.cost": (ot, ot.Cost),
    "method.reg": (ot, ot.Regulariser),
    "method.solver": (ot, ot.DiscreteSolver),
    "method.gradient": (ot, ot.Gradient),
}


def _named(kind: str) -> list[str]:
    package, base = KINDS[kind]
    found = {name: getattr(package, name) for name in package.__all__}
    kinds = {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, base)}
    return [name for name, kind in kinds.items() if not inspect.isabstract(kind)]


# A method decides which parts of itself can be chosen, and so is chosen alone; the rest is chosen together.
TOGETHER = {kind: _named(kind) for kind in KINDS if kind != "method"}
TOGETHER["latent"].append(TOGETHER["latent"].pop(0))  # another than the data, or they could be mixed up
CHOICES = [{"method": method} for method in _named("method")] + [
    {kind: name for kind, name in zip(TOGETHER, names, strict=True) if name is not None}
    for names in zip_longest(*TOGETHER.values())
]


@pytest.fixture
def config_of(monkeypatch: pytest.MonkeyPatch, otgen: Call) -> ConfigOf:
    """The configuration that `otgen train` would run with; nothing is trained."""

    def build(*words: object) -> RunConfig:
        caught: list[RunConfig] = []

        class Stop(Exception):  # noqa: N818
            pass

        def stop(self: Trainer, config: RunConfig, run: RunDir, hooks: Any) -> None:
            caught.append(config)
            raise Stop

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "__init__", stop)
            result = otgen("train", *words)
        assert caught, result.err
        return caught[0]

    return build


@pytest.mark.parametrize("recipe", ["digits.features", "toy.gaussians25"])  # they share no kind of component
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(choice.values()))
def test_components_chosen_by_name_are_built(choice: dict[str, str], recipe: str, config_of: ConfigOf) -> None:
    words = [recipe, "--out", "run"]
    for kind, name in choice.items():
        words += [f"--{kind}", name]
        if name in REQUIRED:
            option, value = REQUIRED[name]
            words += [f"--{kind}.{option}", value]
    config = config_of(*words)
    for kind, name in choice.items():
        assert type(attrgetter(kind)(config)).__name__ == name, f"--{kind} {name}"
    save(config, Path("config.yaml"))
    assert load(Path("config.yaml")) == config
    _no_text_where_a_policy_belongs(config)


def _no_text_where_a_policy_belongs(value: Any) -> None:
    """A policy that stayed a string would be compared with `is`, and silently be another."""
    if not dataclasses.is_dataclass(value):
        return
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        default = field.default
        if isinstance(default, StrEnum):
            assert isinstance(item, type(default)), f"{type(value).__name__}.{field.name}: {item!r}"
        _no_text_where_a_policy_belongs(item)


POLICIES = [
    (("digits.features",), "--method.value", "method.value", ot.ValueKind),
    (("pixels",), "--generator.activation", "generator.activation", Activation),
    (("pixels",), "--method.solver.update", "method.solver.update", ot.SinkhornUpdate),
    (("digits",), "--data.pixel_range", "data.pixel_range", ValueRange),
    (("digits",), "--trainer.device", "trainer.device", type(RunConfig(steps=1).trainer.device)),
]
MEMBERS = [(words, flag, path, member) for words, flag, path, policy in POLICIES for member in policy]


@pytest.mark.parametrize(("words", "flag", "path", "member"), MEMBERS, ids=str)
def test_a_policy_is_chosen_by_its_value(
    words: tuple[str, ...], flag: str, path: str, member: StrEnum, config_of: ConfigOf
) -> None:
    assert attrgetter(path)(config_of(*words, flag, member.value, "--out", "run")) is member


@pytest.mark.parametrize(("words", "flag", "path", "member"), MEMBERS, ids=str)
def test_a_policys_python_name_is_refused_or_understood(
    words: tuple[str, ...], flag: str, path: str, member: StrEnum, otgen: Call
) -> None:
    printed = otgen("train", *words, flag, member.name, "--print_config")
    if printed.code != 0:
        assert printed.code == 2
        assert member.value in printed.err
        return
    value: Any = yaml.safe_load(printed.out)
    for part in path.split("."):
        value = value.get("init_args", value)[part]
    assert value == member.value


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_folder_of_images_can_be_given_to_any_recipe(every: int, config_of: ConfigOf) -> None:
    for k, recipe in enumerate(papers.names()[::every]):
        words = ("--data", "ImageFolder", "--data.folder", "pictures", "--out", f"run{k}")
        assert config_of(recipe.name, *words).data == ImageFolder(folder="pictures")


def test_a_file_that_names_a_method_gets_its_defaults() -> None:
    Path("short.yaml").write_text("steps: 1\nmethod: {class_path: otgen.methods.SinkhornAutoDiff}\n")
    assert load(Path("short.yaml")) == RunConfig(steps=1, method=SinkhornAutoDiff())


def test_a_recipes_options_outlive_a_change_of_the_part_beside_them(config_of: ConfigOf) -> None:
    plain = papers.digits()
    config = config_of("digits", "--method.cost", "L1", "--out", "run")
    assert config == dataclasses.replace(plain, method=dataclasses.replace(plain.method, cost=ot.L1()))
