"""A run's generator as a file that needs no otgen: torch.export's ``.pt2``, or ``.onnx``."""

from __future__ import annotations

import dataclasses
import io
import logging
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otgen import files
from otgen.data import Source
from otgen.data.table_description import described
from otgen.errors import InputError, MissingDependency, quiet
from otgen.runs.rows import load_coder
from otgen.runs.sample import Sampler
from otgen.seeding import named_stream
from otgen.train import RunDir, checkpoint

_INPUT, _OUTPUT = "codes", "samples"


class ExportForm(StrEnum):
    """What a generator is exported to, by the ending of the file."""

    TORCH = ".pt2"
    ONNX = ".onnx"


class SampleMap(nn.Module):
    """From codes to samples: the generator in evaluation mode, its output in the data's range.

    Args:
        generator: the generator.
        value_range: the interval that samples are clamped to, or None.
    """

    def __init__(self, generator: nn.Module, value_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.generator, self.value_range = generator, value_range

    def forward(self, codes: Tensor) -> Tensor:
        """Samples ``(n, *shape)`` of codes ``(n, *latent)``."""
        samples: Tensor = self.generator(codes)
        return samples if self.value_range is None else samples.clamp(*self.value_range)


def export_run(run: RunDir, path: Path, *, raw: bool = False) -> Path:
    """Write the generator of a run's newest checkpoint as a program of its own, for any number of codes.

    It makes the samples that :func:`sample_run` makes of the same codes. Beside it stands a JSON file, whose name is
    the file's with ``.json`` at its end: the law of the codes, the shapes and the range of the samples. Where samples
    are encoded rows of a table, or scaled, a second one that ends in ``.table.json`` says how they become its columns.

    Args:
        run: the run directory; the data are not needed.
        path: ends in ``.pt2`` (read by ``torch.export.load``) or ``.onnx``.
        raw: the weights themselves rather than their moving average.

    Returns:
        The JSON file on the codes.

    Raises:
        InputError: the ending is another, there is no checkpoint, or PyTorch cannot export this generator.
        MissingDependency: the ending is ``.onnx``, and the packages for it are not installed.
    """
    form = export_form(path)
    if form is ExportForm.ONNX:
        _require_onnx(path)
    sampler = Sampler.open(run, raw=raw)
    module = SampleMap(sampler.generator, sampler.shapes.value_range).eval()
    codes = sampler.latent.sample(2, named_stream(0, "sample"))
    try:
        # What the exporters say of their own insides is nothing to a user.
        with quiet("torch.onnx", logging.ERROR):
            content = _torch_program(module, codes) if form is ExportForm.TORCH else _onnx_model(module, codes)
    except Exception as error:  # whatever the code of a generator of the user's makes the exporter raise
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"the generator of {run.path} cannot be exported to {form}: {why}; otgen sample and "
            "otgen.runs.load_generator need no export"
        ) from error
    about, coder = _about(run, sampler, path, raw=raw), load_coder(run)
    files.write(path, content)
    if coder is not None:
        labels = sampler.shapes.labels
        columns = described(coder, () if labels is None else labels.names)
        files.write_json(table_path(path), {"columns": columns})
        about["table"] = table_path(path).name
    return files.write_json(about_path(path), about)


def export_form(path: Path) -> ExportForm:
    """The form that a file's name asks for.

    Raises:
        InputError: it asks for no form.
    """
    try:
        return ExportForm(path.suffix.lower())
    except ValueError:
        raise InputError(
            f"a generator is exported to a file that ends in {' or '.join(ExportForm)}, got {path.name!r}"
        ) from None


def about_path(path: Path) -> Path:
    """The JSON file beside an exported generator."""
    return path.with_name(f"{path.name}.json")


def table_path(path: Path) -> Path:
    """The JSON file that says how the samples of an exported generator become the columns of a table."""
    return path.with_name(f"{path.name}.table.json")


def _torch_program(module: nn.Module, codes: Tensor) -> bytes:
    import torch.export

    program = torch.export.export(module, (codes,), dynamic_shapes={_INPUT: {0: torch.export.Dim("n")}})
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _onnx_model(module: nn.Module, codes: Tensor) -> bytes:
    import torch.export
    import torch.onnx

    program = torch.onnx.export(
        module,
        (codes,),
        dynamo=True,
        verbose=False,
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_shapes={_INPUT: {0: torch.export.Dim("n")}},
    )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _require_onnx(path: Path) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"{path.name} needs the packages onnx and onnxscript: pip install 'otgen[export]', or export to a .pt2, "
            "which needs neither"
        ) from error


def _about(run: RunDir, sampler: Sampler, path: Path, *, raw: bool) -> dict[str, Any]:
    """What a user of the file must know."""
    shapes = sampler.shapes
    return {
        "file": path.name,
        "latent": _law(sampler.latent),
        "input": {"name": _INPUT, "shape": ["n", *sampler.latent.shape], "dtype": "float32"},
        "output": {"name": _OUTPUT, "shape": ["n", *shapes.shape], "dtype": "float32"},
        "value_range": None if shapes.value_range is None else list(shapes.value_range),
        "weights": "raw" if raw else "ema",
        "step": checkpoint.step_of(checkpoint.newest(run.checkpoints)),
        "torch": torch.__version__,
    }


def _law(latent: Source) -> dict[str, Any]:
    """A latent law by its name and its options; one with labels as the law without, and the labels."""
    # A law of codes with a label appended is made of the law of the codes and what it knows of the labels.
    inner, labels = getattr(latent, "latent", None), getattr(latent, "code", None)
    if isinstance(inner, Source) and labels is not None:
        return {**_law(inner), "then": "a one-hot vector of the label", "labels": list(labels.names)}
    options = {one.name: getattr(latent, one.name) for one in dataclasses.fields(latent)}
    # What is no number or text a user of the file cannot draw from by this description.
    known = {name: value for name, value in options.items() if isinstance(value, int | float | str | None)}
    return {"law": type(latent).__name__, **known}
