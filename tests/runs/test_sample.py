from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cases.checkpoints import Payload, change, sum_again
from cases.errors import input_error
from cases.runs import edit_config
from otgen.errors import DamageWarning
from otgen.runs import load_generator, sample_run
from otgen.train import RunDir, checkpoint

Copy = Callable[[str], RunDir]


@pytest.fixture
def run(finished: dict[str, Path]) -> RunDir:
    """The one on the plane; not to be changed."""
    return RunDir.open(finished["plane"])


def test_samples_have_the_datas_shape(finished: dict[str, Path]) -> None:
    points, span = sample_run(RunDir.open(finished["plane"]), 7, 0)
    assert (points.shape, points.dtype, span) == ((7, 2), torch.float32, None)
    images, span = sample_run(RunDir.open(finished["images"]), 3, 0)
    assert (images.shape, images.dtype, span) == ((3, 1, 8, 8), torch.float32, None)


def test_samples_are_a_function_of_the_seed(run: RunDir) -> None:
    one, _ = sample_run(run, 5, 3)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert torch.equal(one, sample_run(run, 5, 3)[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(one, sample_run(run, 5, 4)[0])


def test_the_first_samples_do_not_depend_on_how_many(run: RunDir) -> None:
    few, many = (sample_run(run, n, 0)[0] for n in (16, 1200))
    torch.testing.assert_close(few, many[:16])


def test_the_average_is_the_default_and_raw_weights_are_another(run: RunDir) -> None:
    newest = checkpoint.newest(run.checkpoints)
    assert newest.name == "step_00000005"
    for raw, name in ((False, "generator_ema"), (True, "generator")):
        module, shapes = load_generator(run, raw=raw)
        assert not module.training
        assert shapes.shape == (2,)
        saved = load_file(newest / f"{name}.safetensors")
        assert all(torch.equal(value, saved[key]) for key, value in module.state_dict().items())
    assert not torch.equal(sample_run(run, 5, 0)[0], sample_run(run, 5, 0, raw=True)[0])


def test_samples_keep_the_range_that_the_checkpoint_states(copy_of: Copy) -> None:
    run = copy_of("plane")
    newest = checkpoint.newest(run.checkpoints)
    free, _ = sample_run(run, 200, 0)
    assert float(free.abs().max()) > 0.5
    change(newest / "state.json", lambda about: about | {"value_range": [-0.25, 0.5]})
    kept, span = sample_run(run, 200, 0)
    assert span == (-0.25, 0.5)
    assert float(kept.min()) >= -0.25
    assert float(kept.max()) <= 0.5


def test_the_data_is_not_needed(copy_of: Copy) -> None:
    run = copy_of("images")
    expected, _ = sample_run(run, 4, 0)
    edit_config(run.path, "images.npy", "gone.npy")
    assert torch.equal(sample_run(run, 4, 0)[0], expected)


@pytest.mark.parametrize("name", ["generator_ema.safetensors", "state.json", "state.safetensors", "MANIFEST.json"])
def test_a_damaged_checkpoint_is_passed_over_and_the_last_one_refused(name: str, copy_of: Copy) -> None:
    run = copy_of("plane")
    every = checkpoint.checkpoints(run.checkpoints)
    shutil.move(every[-1], run.path / "aside")
    expected = sample_run(run, 4, 0)[0]
    shutil.move(run.path / "aside", every[-1])
    _damage(every[-1] / name)
    with pytest.warns(DamageWarning, match=rf"{every[-1].name}.*{every[-2].name} is used instead"):
        assert torch.equal(sample_run(run, 4, 0)[0], expected)
    for path in every[:-1]:
        _damage(path / name)
    input_error(rf"no checkpoint in.*{every[-1].name}", sample_run, run, 4, 0)


def _damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_pickle_is_never_read(copy_of: Copy, tmp_path: Path) -> None:
    run, sentinel = copy_of("plane"), tmp_path / "executed"
    newest = checkpoint.newest(run.checkpoints)
    (newest / "generator_ema.safetensors").write_bytes(pickle.dumps(Payload(sentinel)))
    sum_again(newest)
    input_error("no safetensors file", sample_run, run, 4, 0)
    assert not sentinel.exists()


def test_another_architecture_is_refused(copy_of: Copy) -> None:
    run = copy_of("plane")
    edit_config(run.path, "- 6", "- 9")
    input_error(r"1\.weight, shape \(6, 2\) in the file, \(9, 2\) in the network", sample_run, run, 4, 0)


def test_a_run_without_a_checkpoint_says_so(copy_of: Copy) -> None:
    run = copy_of("plane")
    for folder in checkpoint.checkpoints(run.checkpoints):
        folder.rename(run.path / folder.name)
    input_error("no checkpoint", sample_run, run, 4, 0)


def test_sampling_writes_nothing(finished: dict[str, Path]) -> None:
    def listing() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in finished["plane"].rglob("*")}

    before = listing()
    sample_run(RunDir.open(finished["plane"]), 9, 0)
    assert listing() == before


def test_arrays_can_be_compared_with_numpy(run: RunDir) -> None:
    (samples, _), (module, _) = sample_run(run, 9, 0), load_generator(run)
    assert np.isfinite(samples.numpy()).all()
    assert not samples.requires_grad
    assert sum(p.numel() for p in module.parameters()) == (2 * 6 + 2 * 6) + (6 * 2 + 2)
