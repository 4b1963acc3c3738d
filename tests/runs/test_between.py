"""Samples at chosen codes, and the ways between codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cases.errors import input_error
from otgen.data import Normal, Uniform
from otgen.errors import NumericalError
from otgen.runs import Sampler, interpolated
from otgen.train import RunDir


def test_an_arc_keeps_the_length_of_its_ends() -> None:
    a, b = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(0))
    codes = interpolated(a, b * a.norm(dim=1, keepdim=True) / b.norm(dim=1, keepdim=True), 7, spherical=True)
    lengths = codes.reshape(4, 7, 50).norm(dim=2)
    torch.testing.assert_close(lengths, a.norm(dim=1)[:, None].expand(4, 7))
    line = interpolated(a, b, 7, spherical=False).reshape(4, 7, 50)
    assert bool((line[:, 3].norm(dim=1) < 0.9 * a.norm(dim=1)).all())  # why lines are not taken
    steps = codes.reshape(4, 7, 50).diff(dim=1).norm(dim=2)
    torch.testing.assert_close(steps, steps[:, :1].expand(4, 6))


@pytest.mark.parametrize(
    ("a", "b"), [([1.0], [-2.0]), ([1.0], [3.0]), ([1.0, 2.0], [1.0, 2.0]), ([0.0, 0.0], [1.0, 0.0])], ids=str
)
def test_where_there_is_no_arc_there_is_a_line(a: list[float], b: list[float]) -> None:
    """One coordinate, equal codes, a code of length 0."""
    first, last = torch.tensor([a]), torch.tensor([b])
    codes = interpolated(first, last, 3, spherical=True)
    torch.testing.assert_close(codes, torch.cat([first, (first + last) / 2, last]))


def test_the_way_follows_the_latent_law(finished: dict[str, Path]) -> None:
    """What a uniform law's cube contains, a line between its codes does; an arc need not."""
    sampler = Sampler.open(RunDir.open(finished["plane"]))
    seen: list[torch.Tensor] = []
    for latent in (Normal(dim=2), Uniform(dim=2, low=0.0)):

        class Spy(torch.nn.Linear):
            def forward(self, codes: torch.Tensor) -> torch.Tensor:
                seen.append(codes)
                return codes

        Sampler(generator=Spy(2, 2), latent=latent, shapes=sampler.shapes, origin="").between(3, 5, 0)
    normal, uniform = (codes.reshape(3, 5, 2) for codes in seen)
    middle = (uniform[:, 0] + uniform[:, -1]) / 2
    torch.testing.assert_close(uniform[:, 2], middle)
    assert not torch.allclose(normal[:, 2], (normal[:, 0] + normal[:, -1]) / 2)
    input_error("got 1 sample", sampler.between, 3, 1, 0)


def test_samples_that_are_not_finite_are_told(finished: dict[str, Path]) -> None:
    sampler = Sampler.open(RunDir.open(finished["plane"]))
    with torch.no_grad():
        next(sampler.generator.parameters()).fill_(torch.nan)
    with pytest.raises(NumericalError, match="2 of 2 samples"):
        sampler.at(torch.zeros(2, 2))
