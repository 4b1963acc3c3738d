"""The hooks of a run whose files are to be kept, in their order."""

from __future__ import annotations

from otgen.train.config import TrainerConfig
from otgen.train.curve import Curve
from otgen.train.hooks import Checkpoints, Evaluations, Log, Pictures
from otgen.train.tensorboard import TensorBoard
from otgen.train.trainer import Hook


def recording(log: Log, settings: TrainerConfig, curve: Curve | None = None) -> list[Hook]:
    """What a run leaves, in order: a checkpoint comes last, so that whatever is of its step is there before it.

    Args:
        log: the log of the run.
        settings: how the run is executed.
        curve: the small evaluations of the run, where somebody else reads them too; by default its own.

    Raises:
        InputError: TensorBoard is asked for and not installed.
    """
    board: list[Hook] = [TensorBoard(log)] if settings.tensorboard else []
    return [log, Pictures(), Evaluations(), Curve() if curve is None else curve, *board, Checkpoints()]
