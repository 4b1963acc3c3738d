"""Samples of a run in parts, at chosen latent codes, and between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otgen.data import Normal, Source
from otgen.errors import InputError, NumericalError
from otgen.runs.sample import load_generator
from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, checkpoint

# Samples of a part; a multiple of 16, the block of PyTorch's normal draws, so that parts have the codes of the whole.
_PART = 512
# Below this sine of the angle between two codes the sphere's arc is not defined, or is the line to rounding.
_LEAST_SINE = 1e-4


@dataclass(frozen=True)
class Sampler:
    """The generator of a run's newest checkpoint, and what turns its output into samples.

    Attributes:
        generator: maps codes to samples, in evaluation mode.
        latent: the law of the codes.
        shapes: the shape and range of a sample.
    """

    generator: nn.Module
    latent: Source
    shapes: checkpoint.Shapes

    @classmethod
    def open(cls, run: RunDir, *, raw: bool = False, config: RunConfig | None = None) -> Sampler:
        """The sampler of a run directory; the data are not needed.

        Args:
            run: the run directory.
            raw: use the weights themselves rather than their moving average.
            config: the run's configuration, if it is already loaded.
        """
        config = run.load_config() if config is None else config
        generator, shapes = load_generator(run, raw=raw, config=config)
        return cls(generator, config.latent, shapes)

    def parts(self, n: int, seed: int) -> Iterator[Tensor]:
        """``n`` samples, float32 ``(k, *shape)`` at a time, so that the memory does not grow with ``n``.

        Of a normal or uniform latent law they are those of :func:`sample_run` with the same seed.
        """
        rng = named_stream(seed, "sample")
        # A last part of less than a block would be drawn in another way: it goes with the part before.
        sizes = [_PART] * (n // _PART)
        rest = n - sum(sizes)
        if rest and sizes and rest < 16:
            sizes[-1] += rest
        elif rest:
            sizes.append(rest)
        for size in sizes:
            yield self.at(self.latent.sample(size, rng))

    @torch.no_grad()
    def at(self, codes: Tensor) -> Tensor:
        """The samples at codes ``(n, *latent)``: float32 ``(n, *shape)``, clamped to the data's range.

        Raises:
            NumericalError: some are not finite.
        """
        samples = torch.cat([self.generator(part) for part in torch.split(codes, _PART)])
        if not bool(torch.isfinite(samples).all()):
            bad = int((~torch.isfinite(samples.flatten(1)).all(1)).sum())
            raise NumericalError(
                f"{bad} of {len(samples)} samples of the generator are not finite; train again with a smaller step size"
            )
        return samples if self.shapes.value_range is None else samples.clamp(*self.shapes.value_range)

    def between(self, rows: int, columns: int, seed: int) -> Tensor:
        """Rows of samples between pairs of codes: float32 ``(rows * columns, *shape)``, row by row.

        Args:
            rows: pairs of codes.
            columns: samples of a pair, both of its ends among them; at least 2.
            seed: of the pairs.
        """
        if columns < 2:
            raise InputError(
                f"a row between two codes has both of its ends: got {columns} sample(s); ask for 2 or more"
            )
        ends = self.latent.sample(2 * rows, named_stream(seed, "sample"))
        return self.at(interpolated(ends[:rows], ends[rows:], columns, spherical=isinstance(self.latent, Normal)))


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
