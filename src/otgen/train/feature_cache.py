"""Features of the real samples, computed once a run and kept in its directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen import files
from otgen.errors import DamageWarning, warn
from otgen.metrics import Features
from otgen.train.manifest import Sum, reason
from otgen.train.rundir import RunDir

# Rows whose features are computed again to see whether those kept are of this extractor and these data.
_CHECKED = 8
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FeatureCache:
    """Features that are kept under ``eval/`` of a run, by the extractor's name and the fingerprint of the data.

    What is kept is used only if its sum fits, if it is of this extractor and these data, and if a few rows that are
    computed again agree with it; else it is computed anew. A run directory may come from somebody else.

    Attributes:
        run: the run directory.
    """

    run: RunDir

    def features(
        self, extract: Callable[[Tensor], Features], samples: Tensor, *, extractor: str, fingerprint: str
    ) -> Features:
        """The features of samples: kept ones if there are any, else computed and kept.

        Args:
            extract: computes them.
            samples: shape ``(n, *shape)``.
            extractor: name of the extractor, with the hash of its weights.
            fingerprint: hash of the samples.
        """
        origin = {"extractor": extractor, "data": fingerprint}
        key = hashlib.sha256(f"{extractor}\n{fingerprint}".encode()).hexdigest()[:16]
        kept = self._read(key, origin, len(samples))
        if kept is not None and _agrees(kept, extract, samples):
            return kept
        found = extract(samples)
        self._write(key, origin, found)
        return found

    def _read(self, key: str, origin: Mapping[str, str], n: int) -> Features | None:
        """The features that are kept; None if there are none, or none of this origin, or damaged ones."""
        from safetensors.torch import load  # imported here, so that only evaluations with features pay for it

        about, table = (self.run.evaluations / f"features-{key}.{ending}" for ending in ("json", "safetensors"))
        try:
            if not files.is_file(about, within=self.run.path):
                return None
            record = files.read_json(about, within=self.run.path)
            if not isinstance(record, dict) or {k: record.get(k) for k in origin} != dict(origin):
                raise ValueError("they are of another extractor, or of other data")
            content = files.read(table, within=self.run.path)
            if hashlib.sha256(content).hexdigest() != record.get("sha256"):
                raise ValueError("their sum does not fit")
            tensors = load(content)
            features = Features(
                values=tensors["values"], probabilities=tensors.get("probabilities"), name=origin["extractor"]
            )
            if len(features) != n:
                raise ValueError(f"they are of {len(features)} samples, not of {n}")
            return features
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes its reader raise anything
            why = reason(error) if isinstance(error, OSError | ValueError) else type(error).__name__
            warn(f"the features kept in {table} are not used: {why}; they are computed anew", DamageWarning)
            return None

    def _write(self, key: str, origin: Mapping[str, str], features: Features) -> None:
        from safetensors.torch import save

        tensors = {"values": features.values.contiguous()}
        if features.probabilities is not None:
            tensors["probabilities"] = features.probabilities.contiguous()
        content, within = save(tensors), self.run.path
        about, table = (self.run.evaluations / f"features-{key}.{ending}" for ending in ("json", "safetensors"))
        try:
            files.make_folder(self.run.evaluations, within=within)
            files.write(table, content, within=within)
            files.write_json(about, {**origin, "sha256": Sum.of(content).sha256}, within=within)
        except OSError as error:
            warn(f"the features of the data cannot be kept in {table}: {reason(error)}", DamageWarning)


def _agrees(kept: Features, extract: Callable[[Tensor], Features], samples: Tensor) -> bool:
    """Whether kept features are those of the samples, as far as a few rows show."""
    rows = torch.linspace(0, len(samples) - 1, min(_CHECKED, len(samples))).long()
    again = extract(samples[rows])
    if again.values.shape[1] != kept.values.shape[1] or (again.probabilities is None) != (kept.probabilities is None):
        return _refused("they have another shape")
    pairs = [(again.values, kept.values)]
    if again.probabilities is not None and kept.probabilities is not None:
        pairs.append((again.probabilities, kept.probabilities))
    for new, old in pairs:
        if new.shape[1] != old.shape[1] or (new - old[rows].to(new)).abs().max() > _TOLERANCE * new.abs().max():
            return _refused("some differ from those computed again")
    return True


def _refused(why: str) -> bool:
    warn(f"the features kept in the run directory are not used: {why}; they are computed anew", DamageWarning)
    return False
