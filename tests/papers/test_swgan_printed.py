"""At scale paper each panel has what Sanjabi et al. 2018 print; what differs is in the figure's numbered deviations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from otgen import papers
from otgen.methods import SWGAN
from otgen.nets import GluReading, SidesReading
from otgen.ot import KL, Cosine, Quadratic
from otgen.papers import Panel, Scale
from otgen.papers.swgan import fig1_eps_mnist, settings_page
from otgen.papers.swgan.deviations import Deviation, Kind
from otgen.papers.swgan.image_panels import SwganPanel, cifar, mnist
from otgen.papers.swgan.printed import of_gaussians, of_images
from otgen.papers.swgan.settings import Setting, settings_of
from otgen.papers.swgan.settings_page import AsPrinted

FIGURES = {figure.figure.name: figure for figure in settings_page.ALL}
SWEEP = AsPrinted(figure=fig1_eps_mnist.SWGAN_FIG1_EPS, printed={}, deviations=fig1_eps_mnist.DEVIATIONS)
every_figure = pytest.mark.parametrize("figure", FIGURES.values(), ids=list(FIGURES))
PAGE = Path(__file__).parents[2] / "experiments" / "swgan" / "settings.md"
TABLES = [Kind.PRINTED, Kind.OPEN, Kind.CPU]


def _panels(figure: AsPrinted, kind: Kind) -> Iterator[Panel]:
    """Those that a deviation of a kind may be about."""
    yield from (panel for panel in figure.figure.panels if kind is Kind.CPU or panel.name in figure.printed)


@pytest.mark.parametrize("kind", TABLES)
@every_figure
def test_whatever_differs_has_a_number(figure: AsPrinted, kind: Kind) -> None:
    unsaid = {}
    for panel in _panels(figure, kind):
        unsaid[panel.name] = figure.differing(panel, kind) - figure.said(panel, kind).keys()
    assert {name: settings for name, settings in unsaid.items() if settings} == {}


@every_figure
def test_whatever_has_a_number_differs(figure: AsPrinted) -> None:
    for number, deviation in enumerate(figure.deviations, 1):
        if deviation.kind in TABLES:
            named = [p for p in _panels(figure, deviation.kind) if not deviation.panels or p.name in deviation.panels]
            differing = set().union(*(figure.differing(panel, deviation.kind) for panel in named))
            assert set(deviation.settings) <= differing, f"deviation {number}: {deviation.text}"


@every_figure
def test_panels_that_the_paper_does_not_have_are_said_to_be_ours(figure: AsPrinted) -> None:
    names = {panel.name for panel in figure.figure.panels}
    ours = {name for deviation in figure.deviations if deviation.kind is Kind.OURS for name in deviation.panels}
    assert names - figure.printed.keys() <= ours <= names
    assert figure.printed.keys() <= names
    assert {name for deviation in figure.deviations for name in deviation.panels} <= names


@pytest.mark.parametrize("figure", [*FIGURES.values(), SWEEP], ids=[*FIGURES, "swgan.fig1-eps"])
def test_the_deviations_are_those_of_the_report(figure: AsPrinted) -> None:
    assert figure.figure.deviations == tuple(deviation.text for deviation in figure.deviations)
    assert all(deviation.text.endswith(".") for deviation in figure.deviations)


def test_the_sweep_has_the_settings_of_figure_1_but_for_weight_and_steps() -> None:
    of_figure_1 = papers.find_figure("swgan.fig1")
    for panel in SWEEP.figure.panels:
        same = settings_of(of_figure_1.panel(panel.name.rpartition("-")[0]).build(Scale.CPU))
        found = settings_of(panel.build(Scale.CPU))
        printed = panel.name.endswith("-printed")
        expected = {Setting.LAMBDA, Setting.STEPS} | ({Setting.PIXELS} if printed else set())
        assert {setting for setting in found if found[setting] != same.get(setting)} == expected
        assert not printed or (found[Setting.LAMBDA], found[Setting.PIXELS]) == ("0.5", "-1 to 1")


def test_a_difference_without_a_number_is_found_and_so_is_a_number_without_a_difference() -> None:
    figure = FIGURES["swgan.fig3"]
    panel = figure.figure.panel("swgan-d4")
    assert figure.differing(panel, Kind.PRINTED) == set()
    printed = {**figure.printed, "swgan-d4": {**of_gaussians(4), Setting.BATCH: "129"}}
    changed = replace(figure, printed=printed)
    with pytest.raises(AssertionError, match="batch"):
        test_whatever_differs_has_a_number(changed, Kind.PRINTED)
    empty = Deviation(kind=Kind.PRINTED, text="The cost differs.", settings=(Setting.COST,))
    with pytest.raises(AssertionError, match="The cost differs"):
        test_whatever_has_a_number_differs(replace(figure, deviations=(empty,)))


def test_the_tables_are_the_papers() -> None:
    """A second reading of Tables 1 to 3, by their rows."""
    one, two, three = (
        of_gaussians(4),
        of_images(mnist=True, cost="L1", latent=True, sinkhorn=True),
        of_images(mnist=False, cost="L1", latent=True, sinkhorn=True),
    )
    rows = {
        Setting.LAMBDA: ("0.01", "0.5", "0.5"),
        Setting.GENERATOR_STEP: ("0.003", "0.0002", "0.0002"),
        Setting.BATCH: ("128", "100", "150"),
        Setting.DISCRIMINATOR_STEP: ("0.001", "0.0002", "0.0002"),
        Setting.BETAS: ("0.5, 0.9", "0, 0.95", "0, 0.95"),
        Setting.UPDATES: ("20", "5", "3"),
        Setting.STEPS: ("10,000", "50,000", "50,000"),
    }
    assert {setting: (one[setting], two[setting], three[setting]) for setting in rows} == rows
    assert two[Setting.RATIO] == three[Setting.RATIO] == "2"
    assert (one[Setting.REGULARISER], one[Setting.STOP]) == ("Quadratic", "(26)")


# What the paper leaves open, in more than one reading: a panel, the same in another reading, and the setting's value.
_MNIST, _CIFAR = SwganPanel(task=mnist, cost=Cosine()), SwganPanel(task=cifar, cost=Cosine())
_LEARNT = replace(_MNIST, latent=True)
_BEFORE_THE_GATES = (
    "FC(128, 8192)-BN-GLU-UpSample2x-CONV(512, 256, stride=1)-BN-GLU-UpSample2x-CONV(256, 128, stride=1)-BN-GLU-"
    "UpSample2x-CONV(128, 64, stride=1)-BN-GLU-CONV(64, 3, stride=1)-Tanh"
)
READINGS = [
    (_MNIST, replace(_MNIST, norm_2=True), Setting.REGULARISER, "Quadratic"),
    (_MNIST, replace(_MNIST, shared=True), Setting.TRUNKS, "shared"),
    (_MNIST, replace(_MNIST, task=partial(mnist, kernel=3)), Setting.KERNELS, "3, 3, 3"),
    (_MNIST, replace(_MNIST, task=partial(mnist, sides=SidesReading.KERNELS)), Setting.KERNELS, "3, 4, 4"),
    (_LEARNT, replace(_LEARNT, every=5), Setting.RATIO, "5"),
    (_CIFAR, replace(_CIFAR, task=partial(cifar, kernel=3)), Setting.KERNELS, "3, 3, 3, 3"),
    (_CIFAR, replace(_CIFAR, task=partial(cifar, glu=GluReading.PRE)), Setting.GENERATOR, _BEFORE_THE_GATES),
]


@pytest.mark.parametrize(("one", "other", "setting", "value"), READINGS, ids=[case[2].name for case in READINGS])
def test_what_the_paper_leaves_open_is_an_option(
    one: SwganPanel, other: SwganPanel, setting: Setting, value: str
) -> None:
    before, after = settings_of(one(Scale.PAPER)), settings_of(other(Scale.PAPER))
    assert after[setting] == value
    assert {name for name in before if before[name] != after[name]} == {setting}


def test_the_regulariser_keeps_the_tables_weight() -> None:
    methods = [SwganPanel(task=mnist, cost=Cosine(), norm_2=norm_2)(Scale.PAPER).method for norm_2 in (False, True)]
    assert [method.reg for method in methods if isinstance(method, SWGAN)] == [KL(eps=0.5), Quadratic(eps=0.5)]


def test_the_page_on_settings_is_that_of_the_code() -> None:
    if not PAGE.parent.is_dir():
        pytest.skip("experiments/ is not beside the tests")
    assert PAGE.read_text(encoding="utf-8") == settings_page.page(), "run `python scripts/write_reports.py`"
