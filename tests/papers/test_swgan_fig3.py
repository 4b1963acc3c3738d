"""The panels of Figure 3 of Sanjabi et al. 2018 are one experiment: they differ in method, codes and layers alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otgen.methods import SWGAN, WGANGP
from otgen.papers import Scale
from otgen.papers.swgan.fig3_gaussians import swgan_fig3, swgan_fig3_d2, wgan_gp_fig3, wgan_gp_fig3_d2
from otgen.train import RunConfig


def _same_but_for_codes(four: RunConfig, two: RunConfig) -> bool:
    assert (four.latent.shape, two.latent.shape) == ((4,), (2,))
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
    assert (ours.steps, theirs.steps) == ((10_000, 30_000) if scale is Scale.PAPER else (ours.steps,) * 2)
