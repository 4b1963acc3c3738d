"""What a reader of an evaluation should know and may not see in its numbers, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Below this share of a mode's own spread samples count as lying on points, above the other one as too wide.
_NARROW, _WIDE = 0.5, 1.2
# With less than this part of the share of real samples near modes, samples count as lying between them.
_CLEAR = 0.8
# A class, or a mode, with less than this part of an even share counts as missing or nearly so.
_RARE = 0.2
# Numbers of classes of the shipped classifiers.
_CLASSES = 10
# Relative difference of a distance from that of real samples that is not put down to chance.
_CHANCE = 0.1
# A distance that is this many times its least value of the run has become worse.
_RISEN = 1.25
# One per cent of held-out samples lie as near by definition; ten times as many are copies.
_COPIES = 0.1


def remarks(values: Mapping[str, float], history: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """The remarks on an evaluation, a sentence each; none if there is nothing to add to its numbers.

    Args:
        values: metric name to number; metrics that are missing are not remarked on.
        history: stored evaluations of the run, ordered by step.
    """
    return [*_on_modes(values), *_on_classes(values), *_on_copies(values), *_on_distances(values, history)]


def copied(values: Mapping[str, float]) -> bool | None:
    """Whether samples are copies of training data; None if it was not checked."""
    if "copy_close" not in values:
        return None
    return values["copy_close"] > _COPIES or values.get("copy_exact", 0) > 0


def _on_modes(values: Mapping[str, float]) -> Iterator[str]:
    spread, found, modes = (values.get(f"modes_{key}") for key in ("spread", "found", "total"))
    if spread is not None and spread < _NARROW:
        yield (
            f"The samples lie on points: around a mode they spread {spread:.2g} times as far as the mixture does, so "
            "that they show where the modes are and not their shape."
        )
    elif spread is not None and spread > _WIDE:
        yield f"The samples blur the modes: near a mode they spread {spread:.2g} times as far as the mixture does."
    good, real = values.get("modes_high_quality"), values.get("modes_high_quality_real")
    if good is not None and real is not None and good < _CLEAR * real:
        yield f"Samples lie between the modes: {100 * good:.2g} % are near one, and {100 * real:.2g} % of real ones."
    if found is not None and modes is not None and found < modes:
        yield f"Modes are missing: no sample lies near {modes - found:.0f} of {modes:.0f}."
    share = values.get("modes_share_min")
    if found is not None and found == modes and share is not None and share < _RARE:
        yield f"A mode is nearly missing: it has {share:.2g} times its share of the samples."


def _on_classes(values: Mapping[str, float]) -> Iterator[str]:
    share = values.get("classes_share_min")
    if share is not None and share < _RARE / _CLASSES:
        rare = "no sample is" if share == 0 else f"{100 * share:.2g} % of the samples are"
        yield f"A class is missing or nearly so: {rare} of the rarest one; even shares are {100 / _CLASSES:.0f} %."


def _on_copies(values: Mapping[str, float]) -> Iterator[str]:
    if copied(values):
        exact = values.get("copy_exact", 0)
        how = f"; {exact:.0f} are exact copies" if exact else ""
        yield f"Copying: the samples lie nearer to training samples than real ones do{how}."


def _on_distances(values: Mapping[str, float], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    distance, real = values.get("w1_matched"), values.get("w1_real")
    if distance is None or real is None:
        return
    if distance < (1 - _CHANCE) * real:
        yield (
            f"The Wasserstein distance, {distance:.3g}, is below that between two sets of real samples, {real:.3g}. "
            "That is no sign of quality: averages of data (too smooth, or on the centres of modes) and copies of data "
            "lie nearer to the data than fresh data do."
        )
    elif distance > (1 + _CHANCE) * real:
        # That of points that are all the same is 0.
        more = f"is {distance / real:.2g} times" if real > 0 else "is above"
        yield (
            f"The Wasserstein distance, {distance:.3g}, {more} that between two sets of real samples, {real:.3g}: the "
            "samples differ from the data by more than chance."
        )
    past = [(record["w1_matched"], record["step"]) for record in history if record.get("w1_matched") is not None]
    if past and distance > _RISEN * min(past)[0]:
        least, step = min(past)
        yield f"The run became worse: its Wasserstein distance was {least:.3g} at step {step}, is now {distance:.3g}."
