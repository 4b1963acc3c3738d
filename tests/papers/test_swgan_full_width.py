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


_PLAIN, _LOSS = ("potentials",), ("potentials", _OWN)
_LEARNT = ("potentials", _OWN, _REAL)
STEPS = {f"swgan.fig3/swgan-d{dim}": _updates(*_PLAIN, each=20) for dim in (4, 2)}
STEPS |= {f"swgan.fig3/swgan-sinkhorn-d{dim}": _updates(*_LOSS, each=20) for dim in (4, 2)}
STEPS |= {f"swgan.fig3/wgan-gp-d{dim}": _updates(each=0, critic=5) for dim in (4, 2)}
STEPS |= {f"swgan.fig1/{cost}-pixel": _updates(*_PLAIN, each=5) for cost in ("l1", "cosine")}
STEPS |= {f"swgan.fig1/{name}": _updates(*_LOSS, each=5) for name in ("l1-pixel-sinkhorn", "cosine-pixel-sinkhorn")}
STEPS |= {
    f"swgan.fig1/{cost}-latent{loss}": _updates(*_LEARNT, each=5, critic=1)
    for cost in ("l1", "cosine")
    for loss in ("", "-sinkhorn", "-divergence")
}
STEPS |= {f"swgan.fig1/{name}": _updates(each=0, critic=5) for name in ("sinkhorn-solver", "wgan-gp")}
STEPS |= {
    "swgan.fig1/cosine-latent-fixed": _updates(*_LEARNT, each=5, critic=1),
    "swgan.fig1/l1-pixel-sinkhorn-norm2": _updates(*_LOSS, each=5),
    # Of the panels on CIFAR-10, whose steps are long, one of each kind.
    "swgan.fig2/swgan-l1": _updates(*_LEARNT, each=3, critic=1),
    "swgan.fig2/sinkhorn-solver": _updates(each=0, critic=3),
    "swgan.fig2/wgan-gp": _updates(each=0, critic=3),
    "swgan.fig2/ot-gan": _updates(each=0, critic=1),
    "swgan.fig4/annealed": _updates(*_PLAIN, each=3),
    "swgan.fig4/sinkhorn": _updates(*_LOSS, each=3),
}
# The paper's where that takes a moment.
BATCHES = {"swgan.fig3": None, "swgan.fig1": 10, "swgan.fig2": 4, "swgan.fig4": 4}


def _step(name: str, scale: Scale, batch: int | None) -> StepCost:
    figure, _, panel = name.partition("/")
    return one_step(name, find_figure(figure).panel(panel).build(scale), batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_step_at_full_width(name: str) -> None:
    figure, expected = name.partition("/")[0], STEPS[name]
    cost = _step(name, Scale.PAPER, BATCHES[figure])
    print(f"\n{cost}")
    assert cost.moved.keys() == expected.keys()
    # (26) may end the updates on the Gaussians before the twentieth.
    fewest = {player: 1 if "swgan.fig3/swgan" in name else count for player, count in expected.items()}
    assert all(fewest[player] <= count <= expected[player] for player, count in cost.moved.items())
    assert cost.weights > {"swgan.fig3": 3e4, "swgan.fig1": 2e6}.get(figure, 7e7)
    assert cost.mebibytes < 12 * 1024


def test_every_panel_on_gaussians_and_digits_takes_one() -> None:
    panels = {f"{name}/{panel.name}" for name in ("swgan.fig1", "swgan.fig3") for panel in find_figure(name).panels}
    assert panels == {name for name in STEPS if name.startswith(("swgan.fig1", "swgan.fig3"))}


@pytest.mark.parametrize("name", ["swgan.fig2/wgan-gp", "swgan.fig2/ot-gan"])
def test_the_same_at_scale_smoke(name: str) -> None:
    cost = _step(name, Scale.SMOKE, 4)
    assert cost.moved == {"critic": 3 if name.endswith("gp") else 1, "generator": 1}
    assert (cost.panel, cost.batch) == (name, 4)
