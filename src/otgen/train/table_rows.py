"""Samples as rows of the table that the data come from, for the metrics of tables."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from otgen.data import Source, Table
from otgen.errors import InputError
from otgen.metrics import RowSets


def row_sets(
    data: Source, samples: Tensor, labels: Sequence[str] | None = None, target: str | None = None
) -> RowSets | None:
    """The generated, the training and the held-out rows; None if the data are no table.

    Args:
        data: the training data.
        samples: generated samples, shape ``(n, k)``.
        labels: the label of each sample, if the generator is told labels.
        target: the column that metrics predict from the others; by default the table's label.

    Raises:
        InputError: a target is asked for that the table does not have, or the data are no table.
    """
    if not isinstance(data, Table):
        if target is None:
            return None
        raise InputError(
            f"only tables have a target column: got target={target!r} for {type(data).__name__}; leave it out"
        )
    unseen = data.held_out()
    fake = data.coder.decode(samples, None if labels is None else data.coder.label_places(labels))
    kinds = {column.name: column.kind for column in data.coder.columns if column.name in fake.columns}
    label = data.label if data.label in kinds else None
    return RowSets(
        fake=fake,
        real=data.frame(),
        held_out=unseen.frame() if isinstance(unseen, Table) else None,
        kinds=kinds,
        target=label if target is None else target,
    )
