"""What differs from the paper, each with what it is about, so that a test finds what is not said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from otgen.papers.swgan.settings import Setting

PAGE = "experiments/swgan/settings.md"
"""Where a checkout has every setting of the figures beside the paper's."""


class Kind(StrEnum):
    """What a deviation is."""

    PRINTED = "printed"
    """A setting at scale paper that is not what the paper prints."""
    OPEN = "open"
    """A setting that the paper does not print, and what it is here."""
    JUDGED = "judged"
    """What is measured, and when a claim counts as true."""
    OURS = "ours"
    """Panels and claims that are not the paper's."""
    CPU = "cpu"
    """Settings at scale cpu that are not those of scale paper."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One of a figure's numbered deviations.

    Attributes:
        kind: what it is.
        text: what differs, and why.
        settings: the settings that it is about.
        panels: the names of the panels that it is about; empty for all that have the settings.
    """

    kind: Kind
    text: str
    settings: tuple[Setting, ...] = ()
    panels: tuple[str, ...] = ()


def texts(deviations: Iterable[Deviation]) -> tuple[str, ...]:
    """The sentences, in order."""
    return tuple(deviation.text for deviation in deviations)
