"""Checkpoints: what is in them, and what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from safetensors.torch import load_file, save_file

from cases.checkpoints import Payload, change, manifest_of, sum_again, sums
from cases.errors import NO_SPACE, input_error, raising
from cases.trainers import Start, to_end
from otgen.errors import DamageWarning
from otgen.methods import SWGAN, DualOracle
from otgen.nets import MlpCritic, MlpGenerator
from otgen.train import RunConfig, RunDir, Trainer, checkpoint


@pytest.fixture
def saved(learnt_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint of step 2 of a method with two players; a copy, so it may be damaged."""
    return Path(shutil.copytree(learnt_checkpoint, tmp_path / "saved" / learnt_checkpoint.name))


@pytest.fixture
def fresh(learnt: RunConfig, tmp_path: Path) -> Trainer:
    """A trainer that the checkpoint fits."""
    return Trainer(learnt, RunDir(tmp_path / "fresh"))


def _state(trainer: Trainer) -> dict[str, Any]:
    method: Any = trainer.state.method
    found = {"step": trainer.state.step, "data": trainer.state.data_rng.get_state()}
    for name in ("generator", "critic"):
        player = getattr(method, name)
        found |= {f"{name}.{key}": value.clone() for key, value in player.module.state_dict().items()}
        found[f"{name}.moments"] = len(player.optimizer.state)
    return found | {f"ema.{key}": value.clone() for key, value in trainer.state.ema.state_dict().items()}


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(v, other[k]) if isinstance(v, torch.Tensor) else v == other[k] for k, v in one.items()
    )


def _refused(match: str | None, folder: Path, trainer: Trainer) -> str:
    """It is not loaded, and the trainer stays as it was; the message."""
    before = _state(trainer)
    said = input_error(match, checkpoint.load, folder, trainer.state)
    assert _equal(_state(trainer), before)
    return said


def test_what_is_in_a_checkpoint(saved: Path) -> None:
    tensors = {f"{name}.safetensors" for name in ("critic", "generator", "generator_ema", "state")}
    assert {p.name for p in saved.iterdir()} == {"MANIFEST.json", "state.json", "config.yaml"} | tensors
    about = json.loads((saved / "state.json").read_text())
    assert (about["format"], about["shape"], about["value_range"]) == (checkpoint.FORMAT, [2], None)
    assert about["numbers"]["step"] == 2
    assert about["numbers"]["elapsed"] > 0


def test_no_file_is_a_pickle(saved: Path) -> None:
    for file in saved.iterdir():
        content = file.read_bytes()
        with pytest.raises(Exception):  # noqa: B017
            pickle.loads(content)
        if file.suffix == ".safetensors":  # the length of a JSON header, then the header
            size = int.from_bytes(content[:8], "little")
            assert isinstance(json.loads(content[8 : 8 + size]), dict)
        elif file.suffix == ".json":
            json.loads(content)
        else:
            assert yaml.safe_load(content)["seed"] == 0


def test_the_manifest_sums_every_file(saved: Path) -> None:
    stored = json.loads((saved / "MANIFEST.json").read_text())
    assert stored["files"] == sums(saved)
    assert set(stored["run"]) == {"config.yaml", "env.json"}  # no line of metrics was written
    assert checkpoint.verified(saved) == saved


def test_modes_follow_the_umask(learnt: RunConfig, start: Start) -> None:
    old = os.umask(0o027)
    try:
        trainer = to_end(start(replace(learnt, steps=1), "masked"))
    finally:
        os.umask(old)
    folder = checkpoint.newest(trainer.run.checkpoints)
    assert {oct(p.stat().st_mode & 0o777) for p in folder.iterdir()} == {oct(0o640)}
    assert folder.stat().st_mode & 0o777 == 0o750


def test_load_brings_everything_back(saved: Path, learnt: RunConfig, start: Start, fresh: Trainer) -> None:
    checkpoint.load(saved, fresh.state)
    reference = to_end(start(replace(learnt, steps=2), "reference"))
    assert _equal(_state(fresh), _state(reference))
    assert all(count > 0 for name, count in _state(fresh).items() if name.endswith("moments"))


def test_save_load_save_is_byte_identical(saved: Path, fresh: Trainer, tmp_path: Path) -> None:
    checkpoint.load(saved, fresh.state)
    origin = checkpoint.read_origin(saved)
    again = checkpoint.save(tmp_path / "again", fresh.state, fresh.shapes, keep=1, origin=origin)
    assert again.name == saved.name
    for file in saved.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_is_refused(seed: int, saved: Path, fresh: Trainer) -> None:
    chance = random.Random(seed)
    files = sorted(saved.iterdir())
    file = files[seed % len(files)]
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    said = _refused(None, saved, fresh)
    assert str(saved) in said
    if file.name != "MANIFEST.json":
        assert f"{file} is damaged" in said


@pytest.mark.parametrize("name", ["generator.safetensors", "state.safetensors", "state.json", "MANIFEST.json"])
@pytest.mark.parametrize("kept", [0, 1, 8, 0.5, -1])
def test_a_truncated_file_is_refused(name: str, kept: float, saved: Path, fresh: Trainer) -> None:
    file = saved / name
    content = file.read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    file.write_bytes(content[:size])
    said = input_error(None, checkpoint.load, saved, fresh.state)
    assert (name if name != "MANIFEST.json" else saved.name) in said


@pytest.mark.parametrize("name", ["generator.safetensors", "state.safetensors", "state.json"])
def test_a_missing_file_is_refused(name: str, saved: Path, fresh: Trainer) -> None:
    (saved / name).unlink()
    input_error(name, checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("left_out", ["everything", "generator.safetensors", "state.json"])
def test_a_manifest_that_leaves_files_out_is_refused(left_out: str, saved: Path, fresh: Trainer) -> None:
    kept = {name: value for name, value in sums(saved).items() if left_out not in ("everything", name)}
    manifest_of(saved, kept)
    input_error(None, checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"', "{", "", '{"state.json": 3}', '{"state.json": null}'])
def test_a_malformed_manifest_is_refused(content: str, saved: Path, fresh: Trainer) -> None:
    (saved / "MANIFEST.json").write_text(content)
    input_error(saved.name, checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("name", ["../outside", "../../outside", "/etc/hostname", "sub/outside", "..", ".", ""])
def test_a_manifest_cannot_point_outside(name: str, saved: Path, fresh: Trainer) -> None:
    content = b"outside"
    (saved.parent / "outside").write_bytes(content)
    (saved / "sub").mkdir()
    (saved / "sub" / "outside").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    manifest_of(saved, sums(saved) | {name: {"size": len(content), "sha256": digest}})
    input_error(r"MANIFEST\.json|no complete checkpoint", checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("name", ["generator.safetensors", "state.safetensors", "state.json"])
def test_a_pickle_is_never_read(name: str, protocol: int, saved: Path, fresh: Trainer, tmp_path: Path) -> None:
    sentinel = tmp_path / "executed"
    archive = io.BytesIO()
    torch.save(Payload(sentinel), archive)
    for content in (pickle.dumps(Payload(sentinel), protocol=protocol), archive.getvalue()):
        (saved / name).write_bytes(content)
        sum_again(saved)
        input_error(name, checkpoint.load, saved, fresh.state)
        assert not sentinel.exists()


def _tensors_file(header: dict[str, Any] | bytes, body: bytes = b"", claimed: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if claimed is None else claimed).to_bytes(8, "little") + text + body


def _entry(begin: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD_TENSORS = {
    "header of 2^63 bytes": _tensors_file(b"{}", claimed=2**63),
    "header of 101 MB": _tensors_file(b"{}", claimed=101 * 2**20),
    "overlap": _tensors_file({"a": _entry(0, 4, 1), "b": _entry(2, 6, 1)}, bytes(6)),
    "hole": _tensors_file({"a": _entry(4, 8, 1)}, bytes(8)),
    "overflow": _tensors_file({"a": _entry(0, 4, 2**40, 2**40)}, bytes(4)),
    "unknown dtype": _tensors_file({"a": _entry(0, 4, 1, dtype="X32")}, bytes(4)),
    "no JSON": _tensors_file(b"[" * 10000),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_lies_about_tensors_are_refused(case: str, saved: Path, fresh: Trainer) -> None:
    (saved / "generator.safetensors").write_bytes(BAD_TENSORS[case])
    sum_again(saved)
    input_error(r"generator\.safetensors is missing or no safetensors file", checkpoint.load, saved, fresh.state)


def test_another_architecture_is_refused_with_names_and_shapes(saved: Path, learnt: RunConfig, start: Start) -> None:
    wider = start(replace(learnt, generator=MlpGenerator(widths=(7,), batch_norm=True)), "wider")
    message = _refused(None, saved, wider)
    # weight and batch normalisation's four vectors of the hidden layer, weight of the last one
    assert "generator.safetensors does not fit the network: 6 tensors differ, the first is 1.weight" in message
    assert "shape (6, 2) in the file, (7, 2) in the network" in message


def test_a_deeper_architecture_is_refused(saved: Path, learnt: RunConfig, start: Start) -> None:
    deeper = start(replace(learnt, generator=MlpGenerator(widths=(6, 6))), "deeper")
    input_error(r"shape None in the file, \(6,\) in the network", checkpoint.load, saved, deeper.state)


def test_another_critic_leaves_all_players_as_they_were(saved: Path, learnt: RunConfig, start: Start) -> None:
    other = start(replace(learnt, method=replace(learnt.method, critic=MlpCritic(widths=(5,)))), "other")
    _refused(r"critic\.safetensors does not fit the network", saved, other)


def test_another_method_is_refused(tiny: RunConfig, saved: Path, fresh: Trainer, start: Start) -> None:
    simple = to_end(start(replace(tiny, steps=2), "simple"))
    _refused("critic", checkpoint.newest(simple.run.checkpoints), fresh)
    input_error("critic", checkpoint.load, saved, simple.state)


def test_lost_moments_are_refused(saved: Path, fresh: Trainer) -> None:
    """A state without its optimiser's entries would go on, and differ."""
    tensors = load_file(saved / "state.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "optimizer" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, saved / "state.safetensors")
    sum_again(saved)
    input_error("missing", checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("version", [0, 3, None, "1", True])
def test_another_format_is_refused(version: Any, saved: Path, fresh: Trainer) -> None:
    change(saved / "state.json", lambda about: about | {"format": version})
    said = rf"has checkpoint format {version}, this version reads formats 1 and 2"
    input_error(said, checkpoint.load, saved, fresh.state)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_retention_keeps_the_newest(keep: int, tiny: RunConfig, start: Start) -> None:
    trainer = start(replace(tiny, steps=7, trainer=replace(tiny.trainer, checkpoint_every=2, keep=keep)), str(keep))
    trainer.train()
    kept = [p.name for p in checkpoint.checkpoints(trainer.run.checkpoints)]
    assert kept == [f"step_{step:08d}" for step in (2, 4, 6, 7)][-keep:]
    assert sorted(p.name for p in trainer.run.checkpoints.iterdir()) == kept  # nothing half written is left
    assert all(checkpoint.verified(trainer.run.checkpoints / name) for name in kept)


def test_newest_goes_by_step_not_by_time(saved: Path) -> None:
    early = saved.with_name("step_00000001")
    shutil.copytree(saved, early)
    os.utime(saved, (0, 0))
    assert checkpoint.newest(saved.parent) == saved


def test_what_is_incomplete_is_no_checkpoint(saved: Path) -> None:
    shutil.copytree(saved, saved.with_name(".tmp-step_00000010-1"))
    for stray in ("step_foo", "step_1", "step_00000003.bak", ".DS_Store"):
        (saved.parent / stray).mkdir()
    (saved.parent / "step_00000004").write_text("no folder")
    (saved.parent / "step_00000005").symlink_to(saved)
    assert checkpoint.checkpoints(saved.parent) == [saved]
    assert checkpoint.newest(saved.parent) == saved


def test_a_checkpoint_without_a_manifest_is_passed_over_and_said(saved: Path) -> None:
    later = saved.with_name("step_00000009")
    shutil.copytree(saved, later)
    (later / "MANIFEST.json").unlink()
    with pytest.warns(DamageWarning, match=r"step_00000009 is no complete checkpoint.*step_00000002 is used instead"):
        assert checkpoint.newest(saved.parent) == saved


def test_no_checkpoint_is_an_error_that_says_so(tmp_path: Path) -> None:
    input_error("no checkpoint in", checkpoint.newest, tmp_path)


def test_a_failing_save_is_loud_and_leaves_the_old_one(
    saved: Path, fresh: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.load(saved, fresh.state)
    fresh.state.step += 1

    monkeypatch.setattr(os, "fsync", NO_SPACE)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(saved.parent, fresh.state, fresh.shapes, keep=1)
    assert checkpoint.newest(saved.parent) == checkpoint.verified(saved)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_checkpoint_is_never_without_a_successor(
    saved: Path, fresh: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step is often a scheduled one too: saving it again must not delete it first."""
    checkpoint.load(saved, fresh.state)

    for owner, name in ((Path, "rename"), (Path, "replace"), (os, "rename"), (os, "replace")):
        monkeypatch.setattr(owner, name, raising(OSError(5, "Input/output error")))
    with contextlib.suppress(OSError):
        checkpoint.save(saved.parent, fresh.state, fresh.shapes, keep=1)
    assert checkpoint.newest(saved.parent) == checkpoint.verified(saved)


def test_numbers_under_their_former_names_are_read(tiny: RunConfig, start: Start, tmp_path: Path) -> None:
    net = MlpCritic(widths=(6,))
    config = replace(tiny, method=SWGAN(batch=4, support=4, oracle=DualOracle(f=net, g=net, most=1)))
    old, new = (start(config, name).state for name in ("old", "new"))
    state: Any = old.method
    state.cross.capped_updates = 7
    saved = checkpoint.save(tmp_path, old, checkpoint.Shapes((2,), None), keep=1)
    about = json.loads((saved / "state.json").read_text())
    about["numbers"]["method.cross.trips"] = about["numbers"].pop("method.cross.capped_updates")
    (saved / "state.json").write_text(json.dumps(about))
    sum_again(saved)
    checkpoint.load(saved, new)
    state = new.method
    assert state.cross.capped_updates == 7
