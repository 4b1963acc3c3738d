"""`otgen train --init-from RUN`: a new run from another one's weights."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cases.runs import Call, Says, bytes, contains
from otgen.runs import Course, Level, load_critic
from otgen.runs.verdict_advice import advice
from otgen.train import RunDir, checkpoint


def _weights(run: Path, name: str, *, first: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a run's newest checkpoint, or its first one."""
    found = checkpoint.checkpoints(run / "checkpoints")
    return checkpoint.read_tensors(found[0 if first else -1] / f"{name}.safetensors")


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_run_starts_from_another_ones_weights(succeeds: Says, trained: Path, tiny: Any) -> None:
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    out = succeeds("train", *tiny, "--init-from", "trained", "--seed", "5", "--out", "next")
    assert "Starting from the weights of trained at step 4\n" in out
    run = Path("next")
    for name in ("generator", "generator_ema"):
        assert _same(_weights(run, name, first=True), _weights(trained, name))
        assert not _same(_weights(run, name), _weights(trained, name))
    assert yaml.safe_load((run / "config.yaml").read_text())["init_from"] == "trained"
    kept = json.loads((run / "init_from.json").read_text())
    assert (kept["run"], kept["step"], kept["anew"]) == ("trained", 4, [])
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


def test_what_is_advised_next_can_be_run(succeeds: Says, trained: Path, tiny: Any) -> None:
    """A wider generator cannot start from the weights of the other run."""
    succeeds("train", *tiny, "--init-from", "trained", "--out", "next")
    run = RunDir.open(Path("next"))
    said = advice(run.load_config(), run.path, level=Level.CLOSE, course=Course.FLAT, fault=None)
    program, *words = shlex.split(said.command)
    assert program == "otgen"
    assert "--generator.widths" in words
    succeeds(*words)
    assert RunDir.open(Path("next-widths")).load_config().init_from is None


def test_without_a_recipe_the_other_runs_configuration_is_taken(succeeds: Says, trained: Path) -> None:
    printed = yaml.safe_load(succeeds("train", "--init-from", "trained", "--seed", "5", "--print_config"))
    before = yaml.safe_load((trained / "config.yaml").read_text())
    assert printed == before | {"init_from": "trained", "seed": 5}


@pytest.mark.slow
def test_such_a_run_is_repeated_and_resumed_bit_for_bit(succeeds: Says, trained: Path, tiny: Any) -> None:
    words = ("--init-from", "trained", "--seed", "5")
    succeeds("train", *words, "--steps", "7", "--out", "whole")
    succeeds("train", *words, "--steps", "4", "--out", "parts")
    succeeds("train", "--resume", "--out", "parts", "--steps", "7")
    assert bytes(Path("parts")) == bytes(Path("whole"))
    succeeds("train", "--config", "whole/config.yaml", "--out", "again")
    assert bytes(Path("again")) == bytes(Path("whole"))
    # Killed before its first checkpoint.
    shutil.rmtree("parts/checkpoints")
    succeeds("train", "--resume", "--out", "parts")
    assert bytes(Path("parts")) == bytes(Path("whole"))


@pytest.mark.slow
def test_the_other_run_is_needed_at_the_start_only(
    succeeds: Says, refused: Call, trained: Path, longer: Path, tiny: Any
) -> None:
    succeeds("train", *tiny, "--init-from", "trained", "--out", "next")
    trained.rename("elsewhere")
    for words in (("eval", "next", "--n", "20"), ("sample", "next", "--out", "s.npz")):
        succeeds(*words)
    succeeds("train", "--resume", "--out", "next", "--steps", "6")
    shutil.rmtree("next/checkpoints")
    assert "trained is no run directory" in refused("train", "--resume", "--out", "next", code=1)
    shutil.copytree(longer, "trained")
    line = refused("train", "--resume", "--out", "next", code=1)
    assert "trained has other weights by now than this run was started from" in line


def test_a_generator_that_does_not_fit_is_named_by_its_layer(refused: Call, trained: Path, tiny: Any) -> None:
    line = refused("train", *tiny, "--generator.widths", "[7]", "--init-from", "trained", "--out", "next", code=1)
    contains(line, "the generator does not fit the one of trained: layer 1.weight has shape 7 x 4 here and 6 x 4 there")
    contains(line, "; give --generator.widths '[6]', or start without --init-from")
    line = refused("train", *tiny, "--generator.widths", "[6,6]", "--init-from", "trained", "--out", "next", code=1)
    contains(line, "layer 3.weight has shape 6 x 6 here and 2 x 6 there; give --generator.widths '[6]'")
    assert not Path("next").exists()
    for name in ("nowhere", "."):
        assert "is no run directory" in refused("train", *tiny, "--init-from", name, "--out", "next", code=1)


@pytest.mark.slow
def test_a_critic_is_taken_where_it_fits(succeeds: Says) -> None:
    one = ("toy.gaussians25", "--scale", "smoke", "--trainer.threads", "1", "--trainer.eval_samples", "30")
    one += ("--generator.widths", "[6]", "--method", "WGAN", "--method.batch", "12", "--method.critic.widths")
    succeeds("train", *one, "[5]", "--steps", "2", "--out", "one")
    fits = succeeds("train", *one, "[5]", "--steps", "1", "--init-from", "one", "--out", "two")
    assert "Starting from the weights of one at step 2\n" in fits
    assert _same(_weights(Path("two"), "critic", first=True), _weights(Path("one"), "critic"))
    other = succeeds("train", *one, "[6]", "--steps", "1", "--init-from", "one", "--out", "three")
    assert "Starting from the weights of one at step 2; new: critic\n" in other
    assert _same(_weights(Path("three"), "generator", first=True), _weights(Path("one"), "generator"))
    assert load_critic(RunDir.open(Path("three"))) is not None


@pytest.mark.slow
def test_a_damaged_record_is_told(refused: Call, succeeds: Says, trained: Path, tiny: Any) -> None:
    succeeds("train", *tiny, "--init-from", "trained", "--out", "next")
    shutil.rmtree("next/checkpoints")
    Path("next/init_from.json").write_text("{")
    assert "next/init_from.json cannot be read" in refused("train", "--resume", "--out", "next", code=1)


@pytest.mark.parametrize("form", [("--init_from", "trained"), ("--init-from=trained",)])
def test_either_way_of_writing(form: tuple[str, ...], succeeds: Says, trained: Path) -> None:
    assert yaml.safe_load(succeeds("train", *form, "--print_config"))["init_from"] == "trained"
