"""What can be said before a run on few data."""

from __future__ import annotations

from otgen.data import FiniteSource, Source
from otgen.errors import InputError

# Between two samples there is a first thing to learn.
_LEAST = 2
# A batch has about as many: every step sees all of the data, and the nearest way to them is to become them. Of a tenth
# that is held out, five at most, no copy could be told from a likeness.
_COPIES = 50
# A critic of pictures has some 100,000 weights, with which it learns hundreds of pictures by heart, and the generator
# after it. From here on the tenth that is held out says to some 3 % how many samples are nearer to the data than new
# data are; with 300 pictures to some 6 %.
_FEW_IMAGES = 1000
# A row has tens of numbers, not thousands. Below this, a correlation is known to 0.1 at best, and a held-out part of
# ten rows decides nothing.
_FEW_ROWS = 100


def count_of(data: Source) -> int | None:
    """How many samples data have, the held-out part included; None for a law that is no data set."""
    if not isinstance(data, FiniteSource):
        return None
    held_out = data.held_out()
    return data.count + (0 if held_out is None else held_out.count)


def refuse_too_few(count: int, path: str) -> None:
    """Refuse data of which nothing can be learnt.

    Raises:
        InputError: there is one sample, or none.
    """
    if count < _LEAST:
        raise InputError(
            f"{path} holds {count} sample(s), of which nothing can be learnt: give {_COPIES} or more, better "
            f"{_FEW_IMAGES:,} pictures or {_FEW_ROWS} rows"
        )


def few_data_line(count: int, shape: tuple[int, ...]) -> str | None:
    """What a run on so few samples can still show; None where they are enough.

    Args:
        count: how many there are, the held-out part included.
        shape: of one sample.
    """
    images = len(shape) == 3
    what, enough = ("images", _FEW_IMAGES) if images else ("rows", _FEW_ROWS)
    if count < _COPIES:
        return (
            f"Only {count} {what if count > 1 else what[:-1]}: the run can learn to copy them, and nothing else. It "
            f"shows that everything works; for a generator give {enough:,} or more."
        )
    if count < enough:
        blur = "memorised or blurred" if images else "memorised"
        return (
            f"Only {count} {what}: expect {blur} samples, and little certainty from the {max(1, count // 10)} or so "
            f"that are held out. It shows what kind of samples to expect; give {enough:,} or more."
        )
    return None
