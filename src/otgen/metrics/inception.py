"""The Inception network of published Fréchet distances, from torch-fidelity and a file of weights."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from otgen import files
from otgen.errors import InputError, MissingDependency
from otgen.metrics.features import Extractor, Features, require_unit_images
from otgen.metrics.statistics import blocks
from otgen.threads import cached_property

_HASH = 12
_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True, kw_only=True)
class InceptionFeatures(Extractor):
    """The 2048 features and the class probabilities of the Inception network of published FID values.

    The network is torch-fidelity's, which reads images of any side and resizes them to 299 x 299 as the original did.
    The weights are a file of yours: nothing is downloaded. It is the file
    ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity's release v0.2.0; it is read as tensors alone.

    Attributes:
        weights: the file of weights.
        batch: number of images at a time; affects the memory, not the features.
    """

    weights: str
    batch: int = 64

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"batch must be at least 1; got {self.batch}; the default is 64")

    @cached_property
    def _content(self) -> bytes:
        try:
            return files.read(Path(os.path.expanduser(self.weights)))
        except OSError as error:
            raise InputError(
                f"the weights of Inception cannot be read: {error.strerror or error}: {self.weights}; "
                f"get {_WEIGHTS} from torch-fidelity's release v0.2.0 and give its path"
            ) from error

    @cached_property
    def _network(self) -> Any:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise MissingDependency(
                f"Inception needs the package torch-fidelity: {error}; pip install 'otgen[fidelity]'"
            ) from error
        content = self._content
        try:
            # Tensors alone: torch-fidelity itself would read any pickle.
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            with tempfile.TemporaryDirectory() as folder:
                # What was checked, and no other file that has its name by now.
                path = Path(folder) / "weights.pth"
                files.write(path, content, within=Path(folder))
                return FeatureExtractorInceptionV3(
                    "inception-v3", ["2048", "logits"], feature_extractor_weights_path=str(path)
                )
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes the loader raise anything
            said = str(error).strip().splitlines() or [""]
            raise InputError(
                f"the weights of Inception cannot be used: {type(error).__name__}: {said[0][:120]}: {self.weights}; "
                f"get {_WEIGHTS} anew from torch-fidelity's release v0.2.0"
            ) from error

    @cached_property
    @override
    def name(self) -> str:
        """``inception`` and the start of the weights' sha256."""
        return f"inception-{hashlib.sha256(self._content).hexdigest()[:_HASH]}"

    @override
    def resizing(self, shape: tuple[int, ...]) -> str:
        """What it does to the size of samples of this shape, in words for the protocol of an evaluation."""
        return "to 299 x 299, bilinear as in TensorFlow 1"

    @override
    def __call__(self, samples: Tensor) -> Features:
        """Images ``(n, 3, H, W)`` in [0, 1] to values ``(n, 2048)`` and probabilities ``(n, 1008)``."""
        if samples.dim() != 4 or samples.shape[1] != 3 or len(samples) == 0:
            raise InputError(
                f"Inception reads colour images (n, 3, H, W), n >= 1; got {tuple(samples.shape)}; "
                "repeat a grey channel three times, or use another extractor"
            )
        require_unit_images("Inception", samples)
        values, probabilities = [], []
        with torch.no_grad():
            for rows in blocks(len(samples), self.batch):
                # Bytes, as the original reads them from files.
                pixels = samples[rows].detach().cpu().float().mul(255).round_().to(torch.uint8)
                features, logits = self._network(pixels)
                values.append(features.float())
                probabilities.append(logits.float().softmax(1))
        return Features(values=torch.cat(values), probabilities=torch.cat(probabilities), name=self.name)
