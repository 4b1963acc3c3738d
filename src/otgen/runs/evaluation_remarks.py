"""What a reader of an evaluation should know and may not see in its numbers, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otgen.runs.verdict_faults import CHANCE, faults

# A distance that is this many times its least value of the run has become worse.
_RISEN = 1.25


def remarks(values: Mapping[str, float], history: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """The remarks on an evaluation, a sentence each; none if there is nothing to add to its numbers.

    Args:
        values: metric name to number; metrics that are missing are not remarked on.
        history: stored evaluations of the run, ordered by step.
    """
    return [*(fault.text for fault in faults(values)), *_on_distances(values, history)]


def _on_distances(values: Mapping[str, float], history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    distance, real = values.get("w1_matched"), values.get("w1_real")
    if distance is None or real is None:
        return
    if distance > (1 + CHANCE) * real:
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
