"""What can be wrong with samples, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What is wrong, what weighs most first."""

    COPIES = "copies"
    """Samples are training data, or nearly."""
    COLLAPSE = "collapse"
    """Samples are good, and of a few kinds only."""
    MODES = "modes"
    """Modes of a known mixture are missing."""
    CLASSES = "classes"
    """A class is missing."""
    LABELS = "labels"
    """Samples are not of the label that they were asked for, or one label is made worse than the others."""
    POINTS = "points"
    """Samples lie on points of the modes of a known mixture."""
    VARIETY = "variety"
    """Samples are good, and lack some of the kinds that the data have."""
    BLUR = "blur"
    """Samples are averages of data, or too near to their mean."""
    NOISE = "noise"
    """Samples are rougher, or wider, than data."""
    BETWEEN = "between"
    """Samples lie where there are no data."""
    COLUMN = "column"
    """A column of a table is distributed otherwise."""
    GAPS = "gaps"
    """Another share of the values of a table is missing."""
    TOGETHER = "together"
    """The columns of a table hang together otherwise."""
    USE = "use"
    """A model that learnt from samples is worse on real data."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        kind: what it is.
        text: a sentence or two with the numbers.
        certain: whether its interval leaves out that of real samples; else there are too few to tell.
    """

    kind: FaultKind
    text: str
    certain: bool = True
