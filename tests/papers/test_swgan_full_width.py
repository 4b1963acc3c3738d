"""At scale paper each panel of SWGAN's figures takes a step at the paper's width: generator, critic and potentials."""

from __future__ import annotations

from collections import Counter

import pytest
from studies.swgan.full_width import StepCost, one_step

from otgen.papers import Scale, find_figure

_OWN, _REAL = "own potential", "data potential"


def _updates(*of: str, each: int, critic: int = 0) -> dict[str, int]:
    """So many updates of each potential, of a critic, and one of the generator."""
    return dict(Counter({"generator": 1, **dict.fromkeys(of, each), **({"critic": critic} if critic else {})}))


# Of the panels on CIFAR-10, whose steps are long, one of each kind.
STEPS = {
    "swgan.fig3/swgan-d4": _updates("potentials", each=20),
    "swgan.fig3/swgan-sinkhorn-d2": _updates("potentials", _OWN, each=20),
    "swgan.fig3/wgan-gp-d4": _updates(each=0, critic=5),
    "swgan.fig1/l1-pixel": _updates("potentials", each=5),
    "swgan.fig1/l1-pixel-sinkhorn": _updates("potentials", _OWN, each=5),
    "swgan.fig1/l1-latent": _updates("potentials", _OWN, _REAL, each=5, critic=1),
    "swgan.fig1/l1-latent-sinkhorn": _updates("potentials", _OWN, _REAL, each=5, critic=1),
    "swgan.fig1/cosine-pixel": _updates("potentials", each=5),
    "swgan.fig1/cosine-pixel-sinkhorn": _updates("potentials", _OWN, each=5),
    "swgan.fig1/cosine-latent": _updates("potentials", _OWN, _REAL, each=5, critic=1),
    "swgan.fig1/cosine-latent-sinkhorn": _updates("potentials", _OWN, _REAL, each=5, critic=1),
    "swgan.fig1/sinkhorn-solver": _updates(each=0, critic=5),
    "swgan.fig1/wgan-gp": _updates(each=0, critic=5),
    "swgan.fig1/l1-pixel-sinkhorn-norm2": _updates("potentials", _OWN, each=5),
    "swgan.fig2/swgan-l1": _updates("potentials", _OWN, _REAL, each=3, critic=1),
    "swgan.fig2/sinkhorn-solver": _updates(each=0, critic=3),
    "swgan.fig2/wgan-gp": _updates(each=0, critic=3),
    "swgan.fig2/ot-gan": _updates(each=0, critic=1),
    "swgan.fig4/annealed": _updates("potentials", each=3),
}


def _step(name: str, scale: Scale, batch: int) -> StepCost:
    figure, _, panel = name.partition("/")
    return one_step(name, find_figure(figure).panel(panel).build(scale), batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_step_at_full_width(name: str) -> None:
    cifar = name.startswith(("swgan.fig2", "swgan.fig4"))
    cost = _step(name, Scale.PAPER, 4 if cifar else 10)
    print(f"\n{cost}")
    early = name.startswith("swgan.fig3/swgan")
    expected = STEPS[name]
    assert cost.moved.keys() == expected.keys()
    # (26) may end the updates on the Gaussians before the twentieth.
    assert all(
        cost.moved[player] <= expected[player] if early else cost.moved[player] == expected[player]
        for player in expected
    )
    assert cost.weights > (60e6 if cifar else 1e4)
    assert cost.mebibytes < 12 * 1024


@pytest.mark.parametrize("name", ["swgan.fig1/wgan-gp", "swgan.fig2/ot-gan"])
def test_the_same_at_scale_smoke(name: str) -> None:
    cost = _step(name, Scale.SMOKE, 4)
    assert cost.moved == {"critic": 3 if name.endswith("gp") else 1, "generator": 1}
    assert (cost.panel, cost.batch) == (name, 4)
