"""Samples of a run: any number, of one label or of all, and on the way between latent codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.data import Normal, Source
from otgen.data.labelled import LabelledLatent
from otgen.errors import InputError, NumericalError
from otgen.runs.networks import latent_law, load_generator
from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, checkpoint
from otgen.train.evaluation import pushed

# Samples of a part.
_PART = 512
# Below this sine of the angle between two codes the sphere's arc is not defined, or is the line to rounding.
_LEAST_SINE = 1e-4


@dataclass(frozen=True, kw_only=True)
class RunSamples:
    """Samples of a run.

    Attributes:
        values: float32 ``(n, *shape)``, clamped to the data's range.
        value_range: that range, or None.
        labels: the label that each was made for; None if the run is not conditioned on labels.
    """

    values: Tensor
    value_range: tuple[float, float] | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """The generator of a run's newest checkpoint, and what turns its output into samples.

    Attributes:
        generator: maps codes to samples, in evaluation mode.
        latent: the law of the codes, with the one-hot vectors of labels if the run is conditioned on them.
        shapes: what the checkpoint says of the samples.
        origin: the checkpoint, for messages.
    """

    generator: nn.Module
    latent: Source
    shapes: checkpoint.Shapes
    origin: str

    @classmethod
    def open(
        cls, run: RunDir, *, raw: bool = False, label: str | None = None, config: RunConfig | None = None
    ) -> Sampler:
        """The sampler of a run directory; the data are not needed.

        Args:
            run: the run directory.
            raw: use the weights themselves rather than their moving average.
            label: the label that all samples are made for; None for labels by the data's shares.
            config: the run's configuration, if it is already loaded.

        Raises:
            InputError: there is no such label, or the run is not conditioned on labels.
        """
        config = run.load_config(without_method=True) if config is None else config
        generator, shapes = load_generator(run, raw=raw, config=config)
        path = checkpoint.newest(run.checkpoints)
        if label is not None and shapes.labels is not None and (coder := checkpoint.read_coder(path)) is not None:
            label = coder.label_among(label, shapes.labels.names)
        latent = latent_law(config, shapes, label)
        return cls(generator=generator, latent=latent, shapes=shapes, origin=str(path))

    def draw(self, n: int, seed: int) -> RunSamples:
        """``n`` samples; those of two labels and one seed differ in nothing but the label.

        Raises:
            NumericalError: some samples are not finite.
        """
        codes = self._codes(n, seed)
        return RunSamples(values=self.at(codes), value_range=self.shapes.value_range, labels=self._names(codes))

    def parts(self, n: int, seed: int) -> Iterator[Tensor]:
        """The values of :meth:`draw`, ``(k, *shape)`` at a time: of all the samples only the codes are in memory."""
        yield from map(self.at, torch.split(self._codes(n, seed), _PART))

    @torch.no_grad()
    def at(self, codes: Tensor) -> Tensor:
        """The samples at codes ``(n, *latent)``: float32 ``(n, *shape)``, clamped to the data's range.

        Raises:
            NumericalError: some are not finite.
        """
        try:
            samples = pushed(self.generator, codes)
        except NumericalError as error:
            raise NumericalError(f"{self.origin}: {error}") from error
        return samples if self.shapes.value_range is None else samples.clamp(*self.shapes.value_range)

    def between(self, rows: int, columns: int, seed: int) -> Tensor:
        """Rows of samples between pairs of codes: float32 ``(rows * columns, *shape)``, row by row.

        A row has one label.

        Args:
            rows: pairs of codes.
            columns: samples of a pair, both of its ends among them; at least 2.
            seed: of the pairs.
        """
        if columns < 2:
            raise InputError(
                f"a row between two codes has both of its ends: got {columns} sample(s); ask for 2 or more"
            )
        ends, plain = self._codes(2 * rows, seed), self.latent
        hot = ends[:rows, :0]
        if isinstance(plain, LabelledLatent):
            plain = plain.latent
            ends, hot = ends[:, : plain.shape[0]], ends[:rows, plain.shape[0] :]
        codes = interpolated(ends[:rows], ends[rows:], columns, spherical=isinstance(plain, Normal))
        return self.at(torch.cat([codes, hot.repeat_interleave(columns, 0)], 1) if hot.shape[1] else codes)

    def _codes(self, n: int, seed: int) -> Tensor:
        return self.latent.sample(n, named_stream(seed, "sample"))

    def _names(self, codes: Tensor) -> tuple[str, ...] | None:
        return self.latent.names_of(codes) if isinstance(self.latent, LabelledLatent) else None


def draw_run(run: RunDir, n: int, seed: int, *, raw: bool = False, label: str | None = None) -> RunSamples:
    """Samples of the newest checkpoint.

    Args:
        run: the run directory; the data are not needed.
        n: number of samples.
        seed: seed of the latent codes; those of two labels differ in nothing else.
        raw: use the weights themselves rather than their moving average.
        label: the label that all samples are made for; None for labels by the data's shares.

    Raises:
        InputError: there is no such label, or the run is not conditioned on labels.
        NumericalError: some samples are not finite.
    """
    return Sampler.open(run, raw=raw, label=label).draw(n, seed)


def sample_run(
    run: RunDir, n: int, seed: int, *, raw: bool = False, label: str | None = None
) -> tuple[Tensor, tuple[float, float] | None]:
    """``n`` samples, float32 ``(n, *shape)``, clamped to the data's range, and that range; see :func:`draw_run`."""
    drawn = draw_run(run, n, seed, raw=raw, label=label)
    return drawn.values, drawn.value_range


def interpolated(first: Tensor, last: Tensor, columns: int, *, spherical: bool) -> Tensor:
    """Codes between pairs of codes, evenly spaced, both ends included: ``(rows * columns, *latent)``, row by row.

    On a line ``(1 - t) a + t b``; on a sphere ``(sin((1 - t) w) a + sin(t w) b) / sin w`` with the angle w between a
    and b. A line between two normal codes of many dimensions passes near the origin, where the law has next to no
    mass; the arc keeps their length.

    Args:
        first: codes ``(rows, *latent)``.
        last: as many.
        columns: codes of a row, at least 2.
        spherical: on arcs rather than on lines.
    """
    a, b = (ends.flatten(1).double()[:, None, :] for ends in (first, last))
    t = torch.linspace(0, 1, columns, dtype=torch.float64)[None, :, None]
    codes = (1 - t) * a + t * b
    if spherical:
        cosine = (a * b).sum(-1, keepdim=True) / (a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True))
        angle = torch.arccos(cosine.clamp(-1, 1))
        sine = torch.sin(angle)
        arc = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine
        # Of codes with one coordinate, or of equal ones, there is no arc.
        codes = torch.where(sine > _LEAST_SINE, arc, codes)
    return codes.float().reshape(-1, *first.shape[1:])
