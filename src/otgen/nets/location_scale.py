"""The generator of parameter-fit games: a location and a scale for each coordinate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from otgen.errors import InputError
from otgen.nets.base import GeneratorNet, Shape


class LocationScaleMap(nn.Module):
    """``g(z) = scale * z + location``, coordinate by coordinate."""

    def __init__(self, location: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.location, self.scale = nn.Parameter(location), nn.Parameter(scale)

    def forward(self, z: Tensor) -> Tensor:
        """``(n, d)`` to ``(n, d)``."""
        return self.scale * z + self.location


@dataclass(frozen=True, kw_only=True)
class LocationScale(GeneratorNet):
    """``g_theta(z) = scale * z + location``: Pinetz et al. 2018, section 4; a Gaussian if the codes are normal.

    Codes and samples have the same shape, ``(d,)``.

    Attributes:
        location: initial location, one number or one per coordinate.
        scale: initial scale, likewise; for standard normal codes ``|scale|`` is the standard deviation.
    """

    location: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    @override
    def build(self, latent: Shape, shape: Shape, value_range: tuple[float, float] | None) -> LocationScaleMap:
        if latent != shape or len(shape) != 1:
            raise InputError(
                f"LocationScale maps codes of a shape (d,) to samples of the same one, got {latent} and {shape}; "
                "set the latent law's dim to the data's (--latent.dim), or take MlpGenerator() (--generator "
                "MlpGenerator)"
            )
        if value_range is not None:
            raise InputError(
                f"LocationScale cannot keep its samples in {value_range}, where the data lie; take MlpGenerator() "
                "(--generator MlpGenerator)"
            )
        return LocationScaleMap(_each("location", self.location, shape[0]), _each("scale", self.scale, shape[0]))


def _each(name: str, values: tuple[float, ...], size: int) -> Tensor:
    if len(values) not in (1, size):
        raise InputError(f"{name} must have one number, or one for each of {size} coordinates, got {values}")
    return torch.tensor(values, dtype=torch.float32).expand(size).clone()
