"""An extractor of the user's own: a network in a file of TorchScript or of torch.export."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen import files
from otgen.errors import InputError, quiet
from otgen.metrics.features import Extractor, Features, require_numbers
from otgen.metrics.statistics import blocks
from otgen.threads import cached_property

_HASH = 12
# A network that is in training mode, or normalises over the batch, gives a sample other features in other company.
_ALONE, _TOLERANCE = 2, 1e-3
# The loaders warn and log of formats: what is wrong is said in an error.
_LOADERS = ("torch.export", logging.CRITICAL + 1)
_SAVE = "save a network with torch.jit.script(net.eval()).save(FILE), or torch.export.save"


@dataclass(frozen=True, kw_only=True)
class TorchFileFeatures(Extractor):
    """The output of a network in a file: TorchScript, or a program of ``torch.export``.

    The network reads floating samples ``(b, *shape)`` for any ``b`` from 1 to ``batch``, on the CPU, and puts out one
    tensor ``(b, k)``, or ``(b, k, 1, 1)``; every output is a feature. It must be in evaluation mode: the features of a
    sample may not depend on the rest of its batch, which is checked.

    A file is code. ``torch.jit.load`` runs what TorchScript can express, which is no Python but can write files;
    ``torch.export.load`` may run anything: give it files that you trust as programs.

    Attributes:
        path: the file.
        batch: number of samples at a time; affects the memory, not the features.
    """

    path: str
    batch: int = 256

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"batch must be at least 1; got {self.batch}; the default is 256")

    @cached_property
    def _content(self) -> bytes:
        try:
            return files.read(Path(os.path.expanduser(self.path)))
        except OSError as error:
            raise InputError(
                f"the extractor cannot be read: {error.strerror or error}: {self.path}; give a file: {_SAVE}"
            ) from error

    @cached_property
    def _network(self) -> Callable[[Tensor], Any]:
        content = self._content
        try:
            names = zipfile.ZipFile(io.BytesIO(content)).namelist()
        except zipfile.BadZipFile as error:
            raise self._wrong("is neither TorchScript nor a program of torch.export", _SAVE) from error
        inside = {name.partition("/")[2] for name in names} | set(names)
        exported = bool(inside & {"archive_format", "serialized_exported_program.json"})
        if not exported and "constants.pkl" not in inside:
            raise self._wrong("holds weights or a pickle and no network that can be run without its code", _SAVE)
        with self._loading(), quiet(*_LOADERS):
            buffer = io.BytesIO(content)
            if exported:
                network: Callable[[Tensor], Any] = torch.export.load(buffer).module()
                return network
            script: torch.nn.Module = torch.jit.load(buffer, map_location="cpu")  # type: ignore[no-untyped-call]
            return script.eval()

    def _wrong(self, what: str, remedy: str) -> InputError:
        return InputError(f"the extractor {self.path} {what}; {remedy}")

    @contextmanager
    def _loading(self) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes the loader raise anything
            raise self._wrong(f"cannot be loaded: {_line(error)}", f"it may be damaged: {_SAVE}") from error

    @cached_property
    @override
    def name(self) -> str:
        """The file's name without its ending, and the start of its sha256."""
        return f"{Path(self.path).stem}-{hashlib.sha256(self._content).hexdigest()[:_HASH]}"

    @override
    def __call__(self, samples: Tensor) -> Features:
        """Samples ``(n, *shape)``, ``n >= 1``, to values ``(n, k)``, float32, on the CPU; no probabilities."""
        require_numbers("samples", samples)
        if samples.dim() < 2 or len(samples) == 0:
            raise InputError(
                f"samples must have shape (n, *shape) with n at least 1; got {tuple(samples.shape)}; "
                "write one sample as (1, *shape)"
            )
        samples = samples.detach().cpu().float()
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            values = torch.cat([self._run(samples[rows]) for rows in blocks(len(samples), self.batch)])
            alone = self._run(samples[:_ALONE])
        # Features of another kind than (n, k), NaN included, are refused by the class of features.
        features = Features(values=values, name=self.name)
        scale = values.abs().max().item()
        if (alone - values[:_ALONE]).abs().max().item() > _TOLERANCE * scale:
            raise self._wrong(
                "gives a sample other features in other batches",
                "save the network in evaluation mode: net.eval(), without dropout or norms over the batch",
            )
        return features

    def _run(self, samples: Tensor) -> Tensor:
        shape = tuple(samples.shape)
        network = self._network
        try:
            with quiet(*_LOADERS):
                found = network(samples)
        except MemoryError:
            raise
        except Exception as error:  # whatever the network's own code raises
            raise self._wrong(
                f"cannot read samples of shape {shape}: {_line(error)}",
                "give one for samples of this kind, exported with a batch of any size",
            ) from error
        if not isinstance(found, Tensor) or not found.is_floating_point():
            kind = str(found.dtype) if isinstance(found, Tensor) else type(found).__name__
            raise self._wrong(f"puts out {kind}", "let the network return one floating tensor (n, k)")
        if found.dim() < 2 or len(found) != len(samples) or found.numel() != found.shape[0] * found.shape[1]:
            raise self._wrong(
                f"makes {tuple(found.shape)} of samples of shape {shape}",
                "let the network return a row of features a sample, (n, k)",
            )
        return found.flatten(1).float()


def _line(error: Exception) -> str:
    """What an error says, in one line: of a traceback of TorchScript, its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:160]}" if lines else type(error).__name__
