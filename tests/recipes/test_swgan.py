"""The panels of Figure 3 of Sanjabi et al. 2018 are one experiment: they differ in the method and the codes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from otgen.methods import SWGAN, WGANGP
from otgen.recipes.base import Scale
from otgen.recipes.swgan import swgan_fig3, swgan_fig3_d2, wgan_gp_fig3, wgan_gp_fig3_d2
from otgen.train import Ending, RunConfig, RunDir, Trainer

Panel = Callable[[Scale], RunConfig]
PAIRS = [(swgan_fig3, swgan_fig3_d2), (wgan_gp_fig3, wgan_gp_fig3_d2)]


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize(("four", "two"), PAIRS, ids=["swgan", "wgan-gp"])
def test_two_dimensions_keep_every_other_hyper_parameter(four: Panel, two: Panel, scale: Scale) -> None:
    assert four(scale).latent.shape == (4,)
    assert two(scale).latent.shape == (2,)
    assert replace(two(scale), latent=four(scale).latent) == four(scale)


@pytest.mark.parametrize("scale", Scale)
def test_both_methods_get_the_same_but_for_the_papers_steps(scale: Scale) -> None:
    ours, theirs = swgan_fig3(scale), wgan_gp_fig3(scale)
    assert isinstance(ours.method, SWGAN)
    assert isinstance(theirs.method, WGANGP)
    assert replace(theirs, method=ours.method, steps=ours.steps) == ours
    if scale is Scale.PAPER:
        assert (ours.steps, theirs.steps) == (10_000, 30_000)
    else:
        assert ours.steps == theirs.steps


@pytest.mark.parametrize("panel", [swgan_fig3_d2, wgan_gp_fig3, wgan_gp_fig3_d2], ids=lambda panel: panel.__name__)
def test_a_panel_runs_at_smoke_scale(panel: Panel, tmp_path: Path) -> None:
    config = panel(Scale.SMOKE)
    config = replace(config, trainer=replace(config.trainer, threads=1))
    trainer = Trainer(config, RunDir.create(tmp_path / "run", config))
    assert trainer.train() is Ending.FINISHED
    assert trainer.state.step == config.steps
