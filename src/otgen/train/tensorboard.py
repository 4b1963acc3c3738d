"""What a run shows in TensorBoard: its metrics, its evaluations, pictures of its samples."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otgen import files
from otgen.errors import InputError
from otgen.methods import Logged
from otgen.train.hooks import Log, spared
from otgen.train.rundir import RunDir
from otgen.train.trainer import Trainer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FOLDER = "tb"
# What a record holds besides numbers worth a curve.
_ABOUT = ("step", "samples", "references", "seed", "weights")


class TensorBoard:
    """Writes what is logged, evaluated and drawn to the folder ``tb`` of the run, with TensorBoard's own writer.

    A resumed run hides what was written after the step that it goes on from, which it writes again.

    Args:
        log: the log of the run.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, log: Log) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "trainer.tensorboard needs the package tensorboard, which is not installed: "
                "pip install 'otgen[tb]', or leave that option out"
            )
        self.log = log
        self._writer: SummaryWriter | None = None
        self._logged = self._evaluated = self._drawn = -1

    def at_start(self, trainer: Trainer) -> None:
        """Open the folder."""
        with spared("TensorBoard's folder"):
            step, folder = trainer.state.step, trainer.run.path / _FOLDER
            files.make_folder(folder, within=trainer.run.path)
            again = step > 0 or bool(files.names(folder, within=trainer.run.path))
            self._writer = _opened(folder, step + 1 if again else None)
            self._logged = self._evaluated = step

    def after_step(self, trainer: Trainer, logged: Logged) -> None:
        """Write the newest line of the log, what was evaluated, and the picture of this step if there is one."""
        settings, step = trainer.config.trainer, trainer.state.step
        if step % settings.log_every == 0:
            self._write(trainer)
        if step % settings.sample_every == 0:
            self._draw(trainer)

    def at_end(self, trainer: Trainer, logged: Logged | None) -> None:
        """Write what is left."""
        if logged is not None:
            self._write(trainer)
            self._draw(trainer)

    def close(self) -> None:
        """Put everything on the disk."""
        if self._writer is not None:
            with spared("the end of TensorBoard's file"):
                self._writer.close()
            self._writer = None

    def _write(self, trainer: Trainer) -> None:
        if self._writer is None:
            return
        with spared(f"TensorBoard's part of step {trainer.state.step}"):
            line = self.log.last
            if line is not None and line["step"] > self._logged:
                self._logged = line["step"]
                _add(self._writer, "training", [line])
            for name, records in (
                ("evaluation", trainer.run.read_evaluations()),
                ("curve", trainer.run.read_curve()),
            ):
                _add(self._writer, name, (record for record in records if record["step"] > self._evaluated))
            self._evaluated = trainer.state.step

    def _draw(self, trainer: Trainer) -> None:
        step, within = trainer.state.step, trainer.run.path
        path = trainer.run.samples / f"step_{step:08d}.png"
        if self._writer is None or self._drawn == step or not files.is_file(path, within=within):
            return
        with spared(f"TensorBoard's picture of step {step}"):
            import numpy as np
            from PIL import Image

            with Image.open(io.BytesIO(files.read(path, within=within))) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._drawn = step
            self._writer.add_image("samples", pixels, step, dataformats="HWC")


def write_evaluation(run: RunDir, record: Mapping[str, Any]) -> None:
    """Add the evaluation of a run's end, which is made when training is over.

    Args:
        run: the run directory.
        record: a stored evaluation.
    """
    with spared(f"TensorBoard's evaluation of step {record['step']}"):
        writer = _opened(run.path / _FOLDER, None)
        try:
            _add(writer, "evaluation", [record])
        finally:
            writer.close()


def _opened(folder: Path, purge_step: int | None) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter  # nothing else needs it

    return SummaryWriter(str(folder), purge_step=purge_step)


def _add(writer: SummaryWriter, name: str, records: Iterable[Mapping[str, Any]]) -> None:
    for record in records:
        for key, value in record.items():
            if key not in _ABOUT and isinstance(value, int | float):
                writer.add_scalar(f"{name}/{key}", float(value), record["step"])
