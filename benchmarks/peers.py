"""One fixed Sinkhorn problem for each library, through the adapters of `otgen.peers`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from otgen.ot import KL, Discrete, Sinkhorn, SqEuclidean, solve
from otgen.peers import GeomLoss, OttJax, Peer, PotKernel, PotLog, Task

Call = Callable[[], float]

# GeomLoss does not take a fixed number of steps: its own descent, annealed by 0.9 a step, is for the eye.
PEERS: dict[str, Peer] = {
    "OTT-JAX, log domain": OttJax(),
    "POT, plain kernel": PotKernel(),
    "POT, log domain": PotLog(),
    "GeomLoss, annealed": GeomLoss(scaling=0.9),
}
PACKAGES = ("POT", "geomloss", "ott-jax", "jax", "torch", "numpy", "scipy")


def otgen(x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    """Ours."""
    return lambda: float(solve(Discrete(x, y, reg=KL(eps=eps)), Sinkhorn(), tol=0, max_steps=steps).value)


def peer(which: Peer, x: Tensor, y: Tensor, eps: float, steps: int) -> Call:
    """A peer's."""
    task = Task(x=x, y=y, cost=SqEuclidean(), reg=KL(eps=eps), tol=0.0, max_steps=steps)
    call = which.prepare(task)
    return lambda: call().value


def samples_loss() -> Any:
    """GeomLoss's ``SamplesLoss``; None, and a word, if it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for KeOps
            from geomloss import SamplesLoss
    except ImportError as error:
        print(f"GeomLoss is left out: {error}")
        return None
    return SamplesLoss


def differentiated(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The value of a loss and its gradient by x."""
    x = x.clone().requires_grad_()
    value = loss(x, y)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient


def problem(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two normal clouds, unit variance in all, one shifted by 0.3 a coordinate; float32."""
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(n, d, generator=rng) / d**0.5 for _ in range(2))
    return x, y + 0.3


def versions() -> dict[str, str]:
    """Of what takes part."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
