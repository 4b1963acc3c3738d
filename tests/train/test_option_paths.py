"""A mistyped option is looked for among the options of all components that are chosen, however deep."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cases.errors import input_error
from otgen.papers import digits
from otgen.train import RunConfig
from otgen.train.config import plain
from otgen.train.config_files import load
from otgen.train.config_guard import kinds_of
from otgen.train.config_problems import Option, all_paths, first_problem

OPTIONS = {name: Option(kind, getattr(digits(), name)) for name, kind in kinds_of(RunConfig).items()}


def test_all_options_of_the_chosen_components_are_known() -> None:
    paths = all_paths(OPTIONS, {"latent": {"class_path": "otgen.data.Uniform"}, "method": "OTGAN"}, "--")
    expected = {"--seed", "--trainer.ema", "--latent.low", "--method.generator_optimizer.lr", "--generator.hidden"}
    expected |= {"--method.reg.eps", "--data.padding"}
    assert expected <= set(paths)
    assert not {"--method.pull", "--method.solver.anneal"} & set(paths)  # of other classes
    assert [path.count(".") for path in paths] == sorted(path.count(".") for path in paths)
    config = plain(digits())
    assert {f"method.{name}" for name in config["method"]["init_args"]} <= set(all_paths(OPTIONS, config))


# What is written, and what is meant.
MEANT = {
    "method.lr": "method.generator_optimizer.lr",
    "method.learning_rate": "method.generator_optimizer.lr",
    "method.critic.widht": "method.critic.net.width",
    "method.critic.width": "method.critic.net.width",
    "method.ema": "trainer.ema",
    "method.seed": "seed",
    "trainer.batch": "method.batch",
    "generator.latent": "latent",
    "batch": "method.batch",
    "batch-size": "method.batch",
    "lr": "method.generator_optimizer.lr",
    "learning-rate": "method.generator_optimizer.lr",
    "dim": "latent.dim",
    "sede": "seed",
    "epochs": "steps",
    "emma": "trainer.ema",
}


@pytest.mark.parametrize("written", MEANT)
def test_a_mistyped_option_is_suggested_by_its_whole_name(written: str, tmp_path: Path) -> None:
    first, *rest = written.split(".")
    values: object = 3
    for part in reversed(rest):
        values = {part: values}
    assert f"did you mean {'--' + MEANT[written]!r}?" in str(first_problem({first: values}, OPTIONS, "--"))
    # In a file, components are given by their options.
    config = yaml.safe_dump({"method": plain(digits().method), "generator": plain(digits().generator), "steps": 1})
    content = yaml.safe_load(config)
    inside = content.setdefault(first, {}) if rest else content
    for part in rest[:-1]:
        inside = inside["init_args"].setdefault(part, {})
    inside = inside.get("init_args", inside) if rest else inside
    inside[rest[-1] if rest else first] = 3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    input_error(f"did you mean '{MEANT[written]}'", load, tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data": {"folder": "x"}}, "--data: Digits has no option 'folder'; of Mnist, Cifar10, ImageFolder it is one"),
        ({"method": {"solver": {"annel": 1}}}, "--method.solver names no class, so it has no option 'annel'; name one"),
        ({"method": {"zzz": 1}}, "--method: EOTGAN has no option 'zzz'; it has: batch, "),
        # Not "size", which others have.
        ({"data": {"class_path": "Table", "init_args": {"sizee": 1}}}, "Table has no option 'sizee'; it has: path, "),
    ],
)
def test_what_is_no_slip_of_the_pen(values: dict[str, object], said: str) -> None:
    assert said in str(first_problem(values, OPTIONS, "--"))
