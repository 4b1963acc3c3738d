"""How an evaluation was made: what its numbers must share with others to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otgen import metrics
from otgen.data import FiniteSource, Source
from otgen.metrics.base import matched

PREFIX = "protocol_"
"""The keys of a stored evaluation that begin so are of its protocol, and no metrics."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The protocol of an evaluation. Numbers compare only where it agrees.

    Attributes:
        generated: number of generated samples.
        real: number of real samples: of the training set, or fresh ones of a law.
        held_out: number of real samples that training does not see; 0 if there are none.
        matched: number of generated samples that are compared where a baseline has as many held-out ones.
        split: which part of the data the real and the held-out samples are.
        extractor: name of the extractor with the start of its hash; ``identity`` for the samples themselves.
        resizing: what the extractor does to the size of images.
    """

    generated: int
    real: int
    held_out: int
    matched: int
    split: str
    extractor: str
    resizing: str

    def record(self) -> dict[str, int | str]:
        """Its entries in a stored evaluation."""
        return {f"{PREFIX}{name}": value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Protocol | None:
        """That of a stored evaluation; None for one of an earlier version, which has none."""
        kept = {key.removeprefix(PREFIX): value for key, value in record.items() if key.startswith(PREFIX)}
        names = cls.__dataclass_fields__
        return cls(**{name: kept[name] for name in names}) if set(names) <= kept.keys() else None

    @property
    def compared(self) -> int:
        """How many generated samples compare with as many held-out ones; 0 if nothing is held out."""
        return min(self.generated, self.held_out)

    def line(self) -> str:
        """What was compared with what, in a line."""
        resized = "" if self.resizing == "none" else f", resized {self.resizing}"
        few = "" if self.matched == self.generated else f" ({self.matched:,} beside as many held out)"
        return (
            f"{self.generated:,} samples{few} against {self.real:,} real ones and {self.held_out:,} held out "
            f"({self.split}), features {self.extractor}{resized}; [low, high]: intervals of 95 %."
        )


def protocol_of(data: Source, sets: metrics.FeatureSets, extractor: metrics.Extractor | None) -> Protocol:
    """The protocol of an evaluation.

    Args:
        data: the data law.
        sets: the features that are compared.
        extractor: what made them; None for the samples themselves.
    """
    return Protocol(
        generated=len(sets.fake),
        real=len(sets.real),
        held_out=0 if sets.held_out is None else len(sets.held_out),
        matched=matched(sets),
        split=_split(data),
        extractor=sets.fake.name,
        resizing="none" if extractor is None else extractor.resizing(data.shape),
    )


def _split(data: Source) -> str:
    if not isinstance(data, FiniteSource):
        return "fresh samples of the law"
    held_out = data.held_out()
    if held_out is None:
        return "none held out"
    parts = [str(part) for part in (getattr(data, "split", None), getattr(held_out, "split", None)) if part is not None]
    return " and ".join(parts) if len(parts) == 2 else "held out by content"
