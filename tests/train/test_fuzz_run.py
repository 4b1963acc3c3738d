"""Whatever stands in the files of a run, reading them ends in a result, or in one line."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cases.checkpoints import sum_again
from otgen.errors import DamageWarning, OtgenError
from otgen.train import RunConfig, RunDir, Trainer, checkpoint

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("OTGEN_FUZZ_SECONDS", "20"))
WORDS = [b"null", b"-1", b"1e999", b"NaN", b'"x"', b"[]", b"{}", b"true", b"\x00", b"\xff", b'"\\ud800"']
WORDS += [b"9" * 400, b"[" * 2000]
FILES = ["MANIFEST.json", "state.json", "generator.safetensors", "metrics.jsonl", "eval/step_00000004.json"]
# What cannot be used there is left out, with a warning.
LENIENT = FILES[3:]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A content with a few edits, or another one altogether."""
    result = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(result) + 1)
        edit = chance.randrange(5)
        if edit == 0 and result:
            result[at % len(result)] ^= 1 << chance.randrange(8)
        elif edit == 1:
            del result[at : at + chance.randrange(1, 40)]
        elif edit == 2:
            result[at:at] = chance.choice(WORDS)
        elif edit == 3:
            result[at : at + chance.randrange(1, 12)] = chance.choice(WORDS)
        else:
            other = chance.randrange(len(result) + 1)
            result[at:at] = result[other : other + chance.randrange(1, 60)]
    return bytes(result)


def with_other_values(content: bytes, chance: random.Random) -> bytes:
    """JSON with one of its values replaced."""
    try:
        value = json.loads(content)
    except ValueError:
        return mutated(content, chance)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    if not places:
        return mutated(content, chance)
    node, key = chance.choice(places)
    values = [None, -1, 0, 2**70, 1.5, float("nan"), float("inf"), "", "x", "../x", [], {}, [[]], True, {"size": 1}]
    node[key] = chance.choice(values)
    return json.dumps(value).encode()


def reads(run: RunDir, trainer: Trainer) -> dict[str, Callable[[], object]]:
    """What reads each file."""

    def restored() -> None:
        checkpoint.load(checkpoint.newest(run.checkpoints), trainer.state)

    return {
        "MANIFEST.json": restored,
        "state.json": restored,
        "generator.safetensors": restored,
        "metrics.jsonl": lambda: (run.read_metrics(), run.forget_after(5)),
        "eval/step_00000004.json": run.read_evaluations,
    }


@pytest.mark.parametrize("name", FILES)
def test_no_content_is_a_surprise(name: str, learnt: RunConfig, learnt_checkpoint: Path, tmp_path: Path) -> None:
    run = RunDir(Path(shutil.copytree(learnt_checkpoint.parent.parent, tmp_path / "run")))
    run.write_evaluation(4, {"step": 4, "w1": 0.5, "weights": "ema"})
    run.append({"step": 1, "loss": 0.5, "lower": None})
    run.append({"step": 2, "loss": 0.25})
    trainer = Trainer(learnt, RunDir(tmp_path / "fresh"))
    inner = run.checkpoints / learnt_checkpoint.name
    for other in checkpoint.checkpoints(run.checkpoints)[:-1]:  # which would be used instead
        shutil.rmtree(other)
    file = inner / name if (inner / name).exists() else run.path / name
    content, chance, read = file.read_bytes(), random.Random(name), reads(run, trainer)[name]
    ended, said = {"read": 0, "refused": 0}, set()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        edit = with_other_values if name.endswith("json") and chance.random() < 0.5 else mutated
        file.write_bytes(edit(content, chance))
        if file.parent == inner and name != "MANIFEST.json":
            # As whoever forges it would.
            sum_again(inner)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)
            try:
                read()
                ended["read"] += 1
            except OtgenError as error:
                ended["refused"] += 1
                said.add("\n" in str(error))
    assert True not in said
    assert min(ended.values()) > 0 or name in LENIENT, ended
