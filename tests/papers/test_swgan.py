"""The panels of Figure 3 of Sanjabi et al. 2018 are one experiment: they differ in method, codes and layers alone."""

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


def _same_but_for_codes(four: RunConfig, two: RunConfig) -> bool:
    assert four.latent.shape == (4,)
    assert two.latent.shape == (2,)
    return replace(two, latent=four.latent) == four


@pytest.mark.parametrize("scale", Scale)
def test_two_dimensions_keep_every_other_hyper_parameter_of_swgan(scale: Scale) -> None:
    assert _same_but_for_codes(swgan_fig3(scale), swgan_fig3_d2(scale))


def test_wgan_gp_keeps_them_at_the_papers_scale_and_is_tuned_for_each_dimension_at_scale_cpu() -> None:
    assert _same_but_for_codes(wgan_gp_fig3(Scale.PAPER), wgan_gp_fig3_d2(Scale.PAPER))
    assert not _same_but_for_codes(wgan_gp_fig3(Scale.CPU), wgan_gp_fig3_d2(Scale.CPU))


@pytest.mark.parametrize("scale", Scale)
def test_both_methods_get_the_same_but_for_codes_layers_and_the_papers_steps(scale: Scale) -> None:
    ours, theirs = swgan_fig3(scale), wgan_gp_fig3(scale)
    assert isinstance(ours.method, SWGAN)
    assert isinstance(theirs.method, WGANGP)
    tuned = replace(theirs, method=ours.method, latent=ours.latent, generator=ours.generator, steps=ours.steps)
    assert tuned == ours
    assert (theirs.generator == ours.generator) is (scale is Scale.PAPER)
    assert theirs.latent.shape == ours.latent.shape
    assert ours.budget == theirs.budget == (60 if scale is Scale.CPU else None)
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
