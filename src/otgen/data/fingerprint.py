"""A hash of what a source holds, by which a resumed run can tell that its data have changed."""

from __future__ import annotations

import hashlib

import torch

from otgen.data.source import FiniteSource, Source

_ROWS = 1024


def fingerprint(source: Source) -> str:
    """The SHA-256 of a source, as 64 hexadecimal digits.

    A finite source is identified by its points alone (shape, dtype, every value, in order), whatever the place of the
    file and the class that reads it. Any other source is identified by its ``repr``, that is by its class and its
    fields.

    Args:
        source: A law. A finite one is read once, in blocks.

    Returns:
        Equal strings for equal data.
    """
    if not isinstance(source, FiniteSource):
        return hashlib.sha256(repr(source).encode()).hexdigest()
    count = source.count
    dtype = source.take(torch.arange(1)).dtype
    digest = hashlib.sha256(f"{(count, *source.shape)} {dtype}\n".encode())
    for start in range(0, count, _ROWS):
        rows = source.take(torch.arange(start, min(start + _ROWS, count)))
        digest.update(rows.contiguous().numpy().data)
    return digest.hexdigest()
