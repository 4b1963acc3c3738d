"""A held-out part of any data set, chosen by the content of its points."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from otgen.data.source import FiniteSource
from otgen.errors import InputError

# Below this many points a tenth of them says nothing of the law, and training misses each of them.
LEAST_SPLIT = 50
_HASH_BYTES = 8
_ROWS = 1024


def split_by_content(rows: NDArray[Any], share: float) -> NDArray[np.bool_]:
    """Which rows are held out: each by a hash of its own content, in expectation the given share of them.

    A row's fate depends on that row alone: it stays the same when rows are added, removed or sorted, and equal rows
    stay together, so that no copy of a held-out row is trained on.

    Args:
        rows: shape ``(N, ...)``, of a dtype with a fixed size.
        share: in [0, 1).

    Returns:
        Shape ``(N,)``, True for what is held out.
    """
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    most = int(share * 2 ** (8 * _HASH_BYTES))
    hashes = (hashlib.blake2b(row.tobytes(), digest_size=_HASH_BYTES).digest() for row in flat)
    return np.fromiter((int.from_bytes(value, "big") < most for value in hashes), np.bool_, len(flat))


def training_part(source: FiniteSource, share: float) -> FiniteSource:
    """What of a data set is trained on; its ``held_out()`` is the rest.

    A data set with a held-out part of its own, such as a test split, keeps it. Of any other that may be split,
    :func:`split_by_content` holds some points out. Nothing is held out of fewer than 50 points.

    Args:
        source: A data set.
        share: The part of the points to hold out, in [0, 1); 0 for none.

    Raises:
        InputError: ``share`` is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise InputError(f"holdout is the share of the data that is kept from training: got {share}; give 0 to 0.9")
    if share == 0 or not source.may_be_split() or source.count < LEAST_SPLIT or source.held_out() is not None:
        return source
    masks = [
        split_by_content(source.content(torch.arange(start, min(start + _ROWS, source.count))), share)
        for start in range(0, source.count, _ROWS)
    ]
    out = torch.from_numpy(np.concatenate(masks))
    kept, rest = (~out).nonzero().flatten(), out.nonzero().flatten()
    # Data of a few repeated points may all fall on one side.
    return source.part(kept, rest) if len(kept) and len(rest) else source
