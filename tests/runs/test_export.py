"""An exported generator runs without otgen, and makes the same samples of the same codes."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cases.checkpoints import change
from cases.errors import input_error
from otgen import nets
from otgen.data import Arrays, Normal, Source, Table, Uniform
from otgen.errors import MissingDependency, quiet
from otgen.methods import Adam, PixelSinkhorn
from otgen.nets import DcganGenerator, MlpGenerator
from otgen.ot import KL
from otgen.runs import export_run, sample_run
from otgen.runs.export import SampleMap, _law, _torch_program
from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, Trainer, TrainerConfig, checkpoint
from otgen.train.hooks import Checkpoints

# What a user of the files writes, who has PyTorch alone.
ALONE = """
import json, sys
import numpy as np
import torch
for name in sys.argv[1:]:
    about = json.load(open(name + ".json"))
    program = torch.export.load(name).module()
    for n in (1, 7, 600):
        codes = torch.from_numpy(np.load(f"{name}-{n}.npy"))
        assert list(codes.shape[1:]) == about["input"]["shape"][1:]
        with torch.no_grad():
            samples = program(codes)
        assert list(samples.shape) == [n, *about["output"]["shape"][1:]]
        np.save(f"{name}-{n}-out.npy", samples.numpy())
assert not [module for module in sys.modules if module.startswith("otgen")]
"""


@pytest.fixture(scope="module")
def runs_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    """A perceptron on the plane, and a DCGAN with batch normalisation on images, both trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "images.npy", np.random.default_rng(0).random((30, 3, 8, 8)).astype(np.float32))
    plane = RunConfig(
        latent=Normal(dim=3),
        generator=MlpGenerator(widths=(6,), batch_norm=True),
        method=PixelSinkhorn(batch=16, reg=KL(eps=0.5), max_steps=3, generator_optimizer=Adam(lr=0.05)),
        trainer=TrainerConfig(threads=1),
        steps=2,
    )
    np.save(folder / "points.npy", np.random.default_rng(1).normal(size=(30, 2)))
    configs = {
        "mlp": replace(plane, data=Arrays(path=str(folder / "points.npy"))),
        "dcgan": replace(
            plane,
            data=Arrays(path=str(folder / "images.npy")),
            latent=Uniform(dim=5),
            generator=DcganGenerator(width=4, hidden=(8,)),
        ),
    }
    found = {}
    for name, config in configs.items():
        run = RunDir.create(folder / name, config)
        Trainer(config, run, [Checkpoints()]).train()
        found[name] = run
    # As images have: a range that cuts samples off.
    newest = checkpoint.newest(found["dcgan"].checkpoints)
    change(newest / "state.json", lambda about: about | {"value_range": [0.4, 0.6]})
    return found


def _codes(run: RunDir, n: int) -> np.ndarray:
    return run.load_config().latent.sample(n, named_stream(3, "sample")).numpy()


def test_an_exported_perceptron_makes_the_same_samples(runs_of: dict[str, RunDir], tmp_path: Path) -> None:
    run = runs_of["mlp"]
    export_run(run, tmp_path / "g.pt2")
    program = torch.export.load(tmp_path / "g.pt2").module()
    for n in (1, 7):
        torch.testing.assert_close(
            program(torch.from_numpy(_codes(run, n))), sample_run(run, n, 3)[0], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("kind", "names"), [("table", list(Table().frame().columns)), ("points", ["length", "width"])])
def test_how_samples_become_columns_stands_beside_a_program(
    kind: str, names: list[str], finished: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otgen.runs.export._torch_program", lambda module, codes: b"program")
    run = RunDir.open(finished[kind])
    about = json.loads(export_run(run, tmp_path / "g.pt2").read_text())
    assert about["table"] == "g.pt2.table.json"
    columns = json.loads((tmp_path / "g.pt2.table.json").read_text())["columns"]
    assert [column["name"] for column in columns] == names
    assert max(column["end"] for column in columns) <= about["output"]["shape"][1]


@pytest.mark.slow
def test_without_otgen_the_same_samples(runs_of: dict[str, RunDir], tmp_path: Path) -> None:
    for name, run in runs_of.items():
        export_run(run, tmp_path / f"{name}.pt2", raw=name == "mlp")
        for n in (1, 7, 600):
            np.save(tmp_path / f"{name}.pt2-{n}.npy", _codes(run, n))
    files = [f"{name}.pt2" for name in runs_of]
    subprocess.run([sys.executable, "-W", "ignore", "-c", ALONE, *files], cwd=tmp_path, env={}, check=True)
    for name, run in runs_of.items():
        for n in (1, 7, 600):
            expected, _ = sample_run(run, n, 3, raw=name == "mlp")
            np.testing.assert_allclose(np.load(tmp_path / f"{name}.pt2-{n}-out.npy"), expected, atol=1e-5)
    assert float(sample_run(runs_of["dcgan"], 7, 3)[0].min()) >= np.float32(0.4)
    about = json.loads((tmp_path / "dcgan.pt2.json").read_text())
    assert about["latent"] == {"law": "Uniform", "dim": 5, "low": -1.0, "high": 1.0}
    assert about["value_range"] == [0.4, 0.6]
    assert (about["output"]["shape"], about["weights"], about["step"]) == (["n", 3, 8, 8], "ema", 2)
    assert json.loads((tmp_path / "mlp.pt2.json").read_text())["weights"] == "raw"


@pytest.mark.slow
def test_onnx_makes_the_same_samples(runs_of: dict[str, RunDir], tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed: the extra `export`")
    import onnxruntime

    run = runs_of["dcgan"]
    export_run(run, tmp_path / "g.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 7):
        (samples,) = session.run(["samples"], {"codes": _codes(run, n)})
        np.testing.assert_allclose(samples, sample_run(run, n, 3)[0], atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.onnx", "g.onnx.json"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_its_packages_onnx_is_refused_in_words(
    package: str, runs_of: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=r"pip install 'otgen\[export\]', or export to a .pt2"):
        export_run(runs_of["mlp"], tmp_path / "g.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_one_line(
    runs_of: dict[str, RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    input_error("ends in .pt2 or .onnx, got 'g.pt'", export_run, runs_of["mlp"], tmp_path / "g.pt")

    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("a long\npage")

    monkeypatch.setattr("torch.export.export", fail)
    input_error(r"cannot be exported to .pt2: a long page; otgen", export_run, runs_of["mlp"], tmp_path / "g.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_law_of_codes_with_labels_is_told() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Labelled(Normal):
        latent: Source
        code: Any

    law = _law(Labelled(latent=Uniform(dim=3), code=SimpleNamespace(names=("cat", "dog"))))
    expected = {"law": "Uniform", "dim": 3, "low": -1.0, "high": 1.0}
    assert law == {**expected, "then": "a one-hot vector of the label", "labels": ["cat", "dog"]}


SHAPES = {
    "SeqSGDADcganGenerator": (1, 32, 32),
    "SWGANCifarGenerator": (3, 32, 32),
    "SeqSGDAResnetGenerator": (3, 32, 32),
    "LocationScale": (4,),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in nets.__all__ if name.endswith("Generator")] + ["LocationScale"])
def test_every_generator_can_be_exported(name: str) -> None:
    shape = SHAPES.get(name, (1, 28, 28))
    kind: Any = getattr(nets, name)
    try:
        module = kind().build((4,), shape, None if name == "LocationScale" else (0.0, 1.0)).eval()
    except TypeError:
        pytest.skip("an interface")
    codes = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    whole = SampleMap(module, (0.0, 1.0)).eval()
    with quiet("torch.onnx", logging.ERROR):
        content = _torch_program(whole, codes[:2])
    program = torch.export.load(io.BytesIO(content)).module()
    torch.testing.assert_close(program(codes), whole(codes))
