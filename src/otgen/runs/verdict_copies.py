"""Whether samples are copies of training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otgen.runs.verdict_distance import has_no_detail
from otgen.runs.verdict_kinds import Fault, FaultKind

# One per cent of held-out samples lie as near by definition; ten times as many are copies, if that is not chance. Of
# few held-out samples the nearest one is a matter of luck, which this share of draws stays within.
_COPIES, _LUCK = 0.1, 0.99


def copied(values: Mapping[str, float], held_out: int | None = None) -> bool | None:
    """Whether samples are copies of training data; None if it was not checked, or cannot be told.

    That many lie near to data tells nothing of images without any detail: an average of data lies near to all of them.

    Args:
        values: metric name to number.
        held_out: number of held-out samples; None for many.
    """
    if "dcr_copied" in values:
        # Rows of a table: neither averages of rows, which lie near to many, nor rows that the table repeats.
        return values["dcr_copied"] - values.get("dcr_copied_real", 0.0) > _COPIES
    if "copy_close" in values:
        if values.get("copy_exact", 0) > 0:
            return True
        luck = 1 - (1 - _LUCK) ** (1 / held_out) if held_out else 0.0
        if values["copy_close"] <= max(_COPIES, luck):
            return False
        return None if has_no_detail(values) else True
    return None


def copying_text(values: Mapping[str, float], held_out: int | None = None) -> str | None:
    """A sentence on copies of training data, with the share that chance gives; None if that was not looked for.

    Args:
        values: metric name to number.
        held_out: number of held-out samples; None for many.
    """
    found = copied(values, held_out)
    if found is None:
        unknown = (
            "Whether there are copies cannot be told: averages of images, without detail, lie near to all of them."
        )
        return unknown if "copy_close" in values else None
    head = "Copying" if found else "No copying found"
    if "dcr_copied" in values:
        share, chance = values["dcr_copied"], values.get("dcr_copied_real", 0.0)
        if not found and values.get("dcr_copied_low", share) > chance:
            head = "Little copying"
        most = "" if found else f", and more than {_percent(chance + _COPIES)} counts as copying"
        return f"{head}: {_percent(share)} of the rows copy one training row; {_percent(chance)} do by chance{most}."
    exact, share = values.get("copy_exact", 0), values["copy_close"]
    # The least of so many is passed by one more of the same law with this probability.
    chance = max(0.01, 1 / (held_out + 1)) if held_out else 0.01
    also = f"; {exact:.0f} are exact copies" if exact else ""
    near = f"nearer to a training sample than {'99 % of' if chance <= 0.01 else 'any of the'} held-out ones"
    return f"{head}: {_percent(share)} of the samples lie {near}; {_percent(chance)} do by chance{also}."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def copies(values: Mapping[str, float], held_out: int | None) -> Iterator[Fault]:
    """The fault of samples that are copies; the arguments are those of :func:`copied`."""
    said = copying_text(values, held_out)
    if said is not None and copied(values, held_out):
        yield Fault(FaultKind.COPIES, said)
