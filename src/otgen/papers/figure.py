"""The figures of the papers: panels, each a configuration, and what the paper claims of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from otgen.errors import InputError
from otgen.papers.recipe import Builder, Recipe, look_up, recipe
from otgen.papers.run_claims import Claim, Measure


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel of a figure: a run, or one a seed.

    Attributes:
        name: on the command line and of its run directories; letters, digits, dots and hyphens.
        title: above the panel.
        build: from a scale to its configuration; the seed is set by who runs it.
    """

    name: str
    title: str
    build: Builder

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*", self.name):
            raise InputError(f"a panel's name is letters, digits, dots and hyphens, got {self.name!r}")


def panels_of(*rows: tuple[str, str, Builder]) -> tuple[Panel, ...]:
    """Panels from their names, titles and builders."""
    return tuple(Panel(name=name, title=title, build=build) for name, title, build in rows)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a paper.

    Attributes:
        name: on the command line.
        summary: one line.
        source: the paper, and the figure's number in it.
        panels: in the order drawn, row by row.
        columns: panels in a row.
        main: name of the panel that ``otgen train`` trains by the figure's name.
        measures: the metrics shown with each panel.
        claims: what the paper says of it.
        deviations: what differs from the paper, a sentence each.
        seeds: runs of each panel, where nobody says otherwise; at smoke scale it is one.
        least_steps: generator steps below which a run is no ground for a verdict.
    """

    name: str
    summary: str
    source: str
    panels: tuple[Panel, ...]
    columns: int
    main: str
    measures: tuple[Measure, ...]
    claims: tuple[Claim, ...]
    deviations: tuple[str, ...] = ()
    seeds: int = 3
    least_steps: int = 0

    def __post_init__(self) -> None:
        names = [panel.name for panel in self.panels]
        if len(set(names)) != len(names) or min(self.columns, self.seeds, len(names)) < 1 or self.least_steps < 0:
            raise InputError(
                f"figure {self.name}: panels need names of their own, columns and seeds must be at least 1 and "
                f"least_steps not negative, got panels {names}, {self.columns}, {self.seeds} and {self.least_steps}"
            )
        spoken = [self.main, *(name for claim in self.claims for name in claim.panels())]
        unknown = sorted(set(spoken) - set(names))
        if unknown:
            raise InputError(f"figure {self.name} has no panel {unknown[0]!r}; its panels are {', '.join(names)}")

    def panel(self, name: str) -> Panel:
        """The panel of a name.

        Raises:
            InputError: there is none; the message suggests one.
        """
        table = {panel.name: panel for panel in self.panels}
        return look_up(name, table, f"{self.name} has no panel", "its panels are")

    def recipe(self, name: str) -> Recipe:
        """What trains a panel by itself.

        Raises:
            InputError: there is no such panel; the message suggests one.
        """
        panel = self.panel(name)
        return Recipe(f"{self.name}/{name}", f"{self.summary}: {panel.title}", panel.build)


_FIGURES: dict[str, Figure] = {}


def figure(figure: Figure) -> Figure:
    """Enter a figure in the table, and its main panel in the table of recipes under the same name."""
    _FIGURES[figure.name] = figure
    main = figure.panel(figure.main)
    recipe(figure.name, f"{figure.summary}: {main.title}")(main.build)
    return figure


def all_figures() -> list[Figure]:
    """All figures, by name."""
    return [_FIGURES[name] for name in sorted(_FIGURES)]


def find_figure(name: str) -> Figure:
    """The figure of a name.

    Raises:
        InputError: there is none; the message suggests one.
    """
    return look_up(name, {figure.name: figure for figure in all_figures()}, "there is no figure", "the figures are")
