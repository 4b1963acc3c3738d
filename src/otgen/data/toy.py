"""Toy laws with known modes: mixtures of Gaussians with equal weights, and rings."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from otgen.data._checks import require_finite, require_length, require_positive, require_spread
from otgen.data.source import Source, require_count
from otgen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Mixture(Source):
    """A mixture of k Gaussians on R^d with equal weights and one common diagonal covariance.

    A concrete mixture defines `centres` and `spread`, both in the coordinates of the samples; this class samples.
    Metrics that count modes read `centres` and `mode_std`.
    """

    @abstractmethod
    def centres(self) -> Tensor:
        """The means of the k Gaussians: float32, shape ``(k, d)``."""

    @abstractmethod
    def spread(self) -> Tensor:
        """The standard deviation of every Gaussian along each coordinate: float32, shape ``(d,)``."""

    @property
    def mode_std(self) -> float:
        """The largest of `spread`: one number for metrics that ask how near a sample is to a mode."""
        return float(self.spread().max())

    @property
    def shape(self) -> tuple[int, ...]:
        """``(d,)``."""
        return tuple(self.spread().shape)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` points, shape ``(n, d)``."""
        require_count(n)
        centres = self.centres()
        mode = torch.randint(len(centres), (n,), generator=rng)
        noise = torch.randn(n, centres.shape[1], generator=rng)
        return centres[mode] + self.spread() * noise


@dataclass(frozen=True, kw_only=True)
class Gaussians25(Mixture):
    """Twenty-five Gaussians on a 5 x 5 grid.

    The defaults are the de-facto benchmark, the toy of the WGAN-GP authors' code: centres at all pairs of
    -4, -2, 0, 2, 4, standard deviation 0.05, everything divided by 2.828. (The paper of SWGAN, App. K, does
    not give its numbers.)

    Args:
        spacing: Distance between neighbouring centres, before the division by ``scale``.
        std: Standard deviation of each Gaussian, before the division by ``scale``.
        scale: Number by which every coordinate is divided.
    """

    spacing: float = 2.0
    std: float = 0.05
    scale: float = 2.828

    def __post_init__(self) -> None:
        require_positive("spacing", self.spacing)
        require_spread("std", self.std)
        require_positive("scale", self.scale)

    def centres(self) -> Tensor:
        """The grid, row by row: shape ``(25, 2)``."""
        line = torch.arange(-2.0, 3.0) * self.spacing / self.scale
        return torch.cartesian_prod(line, line)

    def spread(self) -> Tensor:
        """``std / scale`` along both coordinates."""
        return torch.full((2,), self.std / self.scale)


@dataclass(frozen=True, kw_only=True)
class Gaussians8(Mixture):
    """Eight Gaussians, evenly spaced on a circle.

    The defaults are the toy of the WGAN-GP authors' code: radius 2, standard deviation 0.02, everything
    divided by 1.414.

    Args:
        radius: Radius of the circle, before the division by ``scale``.
        std: Standard deviation of each Gaussian, before the division by ``scale``.
        scale: Number by which every coordinate is divided.
    """

    radius: float = 2.0
    std: float = 0.02
    scale: float = 1.414

    def __post_init__(self) -> None:
        require_positive("radius", self.radius)
        require_spread("std", self.std)
        require_positive("scale", self.scale)

    def centres(self) -> Tensor:
        """The eight means, anticlockwise from ``(radius, 0) / scale``: shape ``(8, 2)``."""
        angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
        circle = torch.stack([angle.cos(), angle.sin()], dim=1)
        return (circle * (self.radius / self.scale)).float()

    def spread(self) -> Tensor:
        """``std / scale`` along both coordinates."""
        return torch.full((2,), self.std / self.scale)


@dataclass(frozen=True, kw_only=True)
class Gaussian1D(Mixture):
    """One Gaussian on the line.

    Args:
        mean: Its mean.
        std: Its standard deviation.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        require_finite("mean", self.mean)
        require_spread("std", self.std)

    def centres(self) -> Tensor:
        """The mean: shape ``(1, 1)``."""
        return torch.tensor([[self.mean]])

    def spread(self) -> Tensor:
        """The standard deviation: shape ``(1,)``."""
        return torch.tensor([self.std])


@dataclass(frozen=True, kw_only=True)
class Gaussian2D(Mixture):
    """One Gaussian on the plane, with independent coordinates.

    Args:
        mean: Its mean.
        std: Its standard deviation along each coordinate.
    """

    mean: tuple[float, float] = (0.0, 0.0)
    std: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name, values, check in (("mean", self.mean, require_finite), ("std", self.std, require_spread)):
            require_length(name, values, 2)
            for value in values:
                check(name, value)

    def centres(self) -> Tensor:
        """The mean: shape ``(1, 2)``."""
        return torch.tensor([self.mean], dtype=torch.float32)

    def spread(self) -> Tensor:
        """The standard deviations: shape ``(2,)``."""
        return torch.tensor(self.std, dtype=torch.float32)


@dataclass(frozen=True, kw_only=True)
class Rings(Source):
    """Concentric circles of equal mass, blurred by isotropic Gaussian noise.

    Args:
        radii: Radius of each circle.
        std: Standard deviation of the noise along each coordinate.
    """

    radii: tuple[float, ...] = (0.5, 1.0)
    std: float = 0.02

    def __post_init__(self) -> None:
        if not self.radii:
            raise InputError("there is no ring: got radii=(); give at least one radius, e.g. (0.5, 1.0)")
        for radius in self.radii:
            require_positive("radii", radius)
        require_spread("std", self.std)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(2,)``."""
        return (2,)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` points, shape ``(n, 2)``."""
        require_count(n)
        ring = torch.randint(len(self.radii), (n,), generator=rng)
        radius = torch.tensor(self.radii, dtype=torch.float32)[ring]
        angle = torch.rand(n, generator=rng) * (2 * math.pi)
        noise = torch.randn(n, 2, generator=rng)
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1) + self.std * noise
