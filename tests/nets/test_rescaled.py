"""A critic in other units."""

from __future__ import annotations

import pytest
import torch

from cases.checks import refused
from otgen.nets import CriticNet, MlpCritic, Rescaled, seeded


def test_it_is_the_critic_of_the_rescaled_samples() -> None:
    def built(net: CriticNet) -> torch.nn.Module:
        with seeded(torch.Generator().manual_seed(0)):
            return net.build((5,), 2)

    x = torch.rand(7, 5, generator=torch.Generator().manual_seed(1))
    plain, rescaled = built(MlpCritic(widths=(6,))), built(Rescaled(net=MlpCritic(widths=(6,)), centre=0.25, factor=4))
    assert torch.equal(rescaled(x), plain(4 * (x - 0.25)))
    # The differences of its values are those of the critic, magnified: it is steeper.
    slopes = [torch.autograd.functional.jacobian(lambda x, net=net: net(x).sum(0), x[:1]) for net in (plain, rescaled)]
    assert slopes[1].norm() > 2 * slopes[0].norm()


@pytest.mark.parametrize(
    "wrong", [{"factor": 0.0}, {"factor": -1.0}, {"factor": float("nan")}, {"centre": float("inf")}], ids=str
)
def test_units_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    refused("the centre must be a finite number and the factor a positive one, got ", lambda: Rescaled(**wrong))
