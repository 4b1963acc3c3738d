"""A page on the settings of every panel: the paper's, those at scale paper, those at scale cpu, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from otgen.papers.figure import Figure, Panel
from otgen.papers.recipe import Scale
from otgen.papers.swgan import fig1_mnist, fig2_fig4_cifar10, fig3_gaussians
from otgen.papers.swgan.deviations import Deviation, Kind
from otgen.papers.swgan.printed import Printed
from otgen.papers.swgan.settings import Setting, settings_of


@cache
def _settings(panel: Panel, scale: Scale) -> dict[Setting, str]:
    return settings_of(panel.build(scale))


@dataclass(frozen=True, kw_only=True)
class AsPrinted:
    """A figure of the paper beside what the paper prints of it.

    Attributes:
        figure: as it is built.
        printed: of each panel that the paper has, or that a panel of ours is to be compared with.
        deviations: in the order in which the report numbers them.
    """

    figure: Figure
    printed: dict[str, Printed]
    deviations: tuple[Deviation, ...]

    def differing(self, panel: Panel, kind: Kind) -> set[Setting]:
        """The settings of a panel that need a deviation of a kind: ``PRINTED``, ``OPEN`` or ``CPU``."""
        paper = _settings(panel, Scale.PAPER)
        if kind is Kind.CPU:
            cpu = _settings(panel, Scale.CPU)
            return {setting for setting in paper.keys() | cpu.keys() if paper.get(setting) != cpu.get(setting)}
        printed = self.printed[panel.name]
        if kind is Kind.OPEN:
            return paper.keys() - printed.keys()
        return {setting for setting, value in printed.items() if paper.get(setting) != value}

    def said(self, panel: Panel, kind: Kind) -> dict[Setting, list[int]]:
        """The numbers of the deviations of a kind, from 1, by the settings of a panel that they are about."""
        numbers: dict[Setting, list[int]] = {}
        for number, deviation in enumerate(self.deviations, 1):
            if deviation.kind is kind and (not deviation.panels or panel.name in deviation.panels):
                for setting in deviation.settings:
                    numbers.setdefault(setting, []).append(number)
        return numbers


ALL = (
    AsPrinted(figure=fig1_mnist.SWGAN_FIG1, printed=fig1_mnist.PRINTED, deviations=fig1_mnist.DEVIATIONS),
    AsPrinted(
        figure=fig2_fig4_cifar10.SWGAN_FIG2,
        printed=fig2_fig4_cifar10.PRINTED_FIG2,
        deviations=fig2_fig4_cifar10.DEVIATIONS_FIG2,
    ),
    AsPrinted(figure=fig3_gaussians.SWGAN_FIG3, printed=fig3_gaussians.PRINTED, deviations=fig3_gaussians.DEVIATIONS),
    AsPrinted(
        figure=fig2_fig4_cifar10.SWGAN_FIG4,
        printed=fig2_fig4_cifar10.PRINTED_FIG4,
        deviations=fig2_fig4_cifar10.DEVIATIONS_FIG4,
    ),
)
"""The figures that the paper has."""

_HEAD = """# Settings of SWGAN's figures

Of every panel: what the paper prints (Tables 1 to 3, the lists of layers, appendices K to M), what it is at scale
paper, and at scale cpu where that is another. A dash: not printed, or the method has none. The last column has the
numbers of the deviations that say why, as the figure's report numbers them. Panels of Figure 1 that are not the paper's
are as the panel that their title names. Written by `python scripts/write_reports.py`.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(line for figure in ALL for line in _section(figure))])


def _section(figure: AsPrinted) -> Iterator[str]:
    yield from (f"## {figure.figure.name}", "", "| setting | panels | paper | scale paper | scale cpu | why |")
    yield "| --- | --- | --- | --- | --- | --- |"
    names = list(figure.printed)
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        for row in _rows(figure, figure.figure.panel(name)):
            rows.setdefault(row, []).append(name)
    order = {setting.value: place for place, setting in enumerate(Setting)}
    for (setting, *values), panels in sorted(rows.items(), key=lambda item: order[item[0][0]]):
        yield f"| {setting} | {_named(panels, names)} | {' | '.join(values)} |"
    yield ""


def _rows(figure: AsPrinted, panel: Panel) -> Iterator[tuple[str, ...]]:
    paper, cpu = (_settings(panel, scale) for scale in (Scale.PAPER, Scale.CPU))
    printed = figure.printed[panel.name]
    why: dict[Setting, set[int]] = {}
    for kind in (Kind.PRINTED, Kind.OPEN, Kind.CPU):
        said = figure.said(panel, kind)
        for setting in figure.differing(panel, kind):
            why.setdefault(setting, set()).update(said.get(setting, ()))
    for setting in Setting:
        if setting in paper or setting in cpu or setting in printed:
            at_cpu = cpu.get(setting, "-")
            shown = (printed.get(setting, "-"), paper.get(setting, "-"), "" if at_cpu == paper.get(setting) else at_cpu)
            yield setting.value, *shown, ", ".join(map(str, sorted(why.get(setting, ()))))


def _named(panels: Sequence[str], all_of_them: Sequence[str]) -> str:
    return "all" if len(panels) == len(all_of_them) else ", ".join(f"`{name}`" for name in panels)
