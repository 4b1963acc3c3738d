"""The figures of the papers: panels, each a configuration, and what the paper claims of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from otgen.errors import InputError
from otgen.papers.claim import Paper, paper_and_figure
from otgen.papers.claims_on_runs import RunClaim
from otgen.papers.figure_metrics import Measure
from otgen.papers.recipe import Builder, Recipe, Scale, look_up, recipe


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

    @property
    def paper_steps(self) -> int | None:
        """Generator steps at scale paper; None where the run ends by other means."""
        return self.build(Scale.PAPER).steps

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
        settings: path in a checkout of a page on every setting beside the paper's; empty for none.
        main: name of the panel that ``otgen train`` trains by the figure's name; the first one if it is left out.
        measures: the metrics shown with each panel.
        claims: what the paper says of it.
        deviations: what differs from the paper, a sentence each.
        seeds: runs of each panel, where nobody says otherwise; at smoke scale it is one.
    """

    name: str
    summary: str
    source: str
    panels: tuple[Panel, ...]
    columns: int
    measures: tuple[Measure, ...]
    claims: tuple[RunClaim, ...]
    deviations: tuple[str, ...] = ()
    seeds: int = 3
    settings: str = ""
    main: str = ""

    def __post_init__(self) -> None:
        names = [panel.name for panel in self.panels]
        if len(set(names)) != len(names) or min(self.columns, self.seeds, len(names)) < 1:
            raise InputError(
                f"figure {self.name}: panels need names of their own, and columns and seeds must be at least 1, got "
                f"panels {names}, {self.columns} and {self.seeds}"
            )
        spoken = [
            *filter(None, [self.main]),
            *(name for claim in self.claims for part in claim.parts() for name in part),
        ]
        unknown = sorted(set(spoken) - set(names))
        if unknown:
            raise InputError(f"figure {self.name} has no panel {unknown[0]!r}; its panels are {', '.join(names)}")

    @property
    def paper(self) -> Paper:
        """The paper that it is from, the first part of its name."""
        return paper_and_figure(self.name)[0]

    def panel(self, name: str) -> Panel:
        """The panel of a name.

        Raises:
            InputError: there is none; the message suggests one.
        """
        table = {panel.name: panel for panel in self.panels}
        return look_up(name, table, f"{self.name} has no panel", "its panels are")

    def entered(self) -> Figure:
        """Enter it in the table, and its main panel in the table of recipes under the same name.

        The claims get their keys: ``swgan.fig3.1`` is the first of ``swgan.fig3``.
        """
        _FIGURES[self.name] = replace(self, claims=_named(self.name, self.claims))
        main = self.panel(self.main or self.panels[0].name)
        recipe(self.name, f"{self.summary}: {main.title}")(main.build)
        return _FIGURES[self.name]

    def recipe(self, name: str) -> Recipe:
        """What trains a panel by itself.

        Raises:
            InputError: there is no such panel; the message suggests one.
        """
        panel = self.panel(name)
        return Recipe(f"{self.name}/{name}", f"{self.summary}: {panel.title}", panel.build)


_FIGURES: dict[str, Figure] = {}


@dataclass(frozen=True, kw_only=True)
class Study:
    """A figure of a paper that a script measures.

    Attributes:
        name: of the figure, and of its results.
        summary: one line.
        script: path of the script in a checkout; it writes the results.
        claims: what the paper says of it.
    """

    name: str
    summary: str
    script: str
    claims: tuple[RunClaim, ...]

    def entered(self) -> Study:
        """Enter it in the table; its claims get their keys as those of a figure do."""
        _STUDIES[self.name] = replace(self, claims=_named(self.name, self.claims))
        return _STUDIES[self.name]


_STUDIES: dict[str, Study] = {}


def _named(name: str, claims: tuple[RunClaim, ...]) -> tuple[RunClaim, ...]:
    named = [replace(claim, paper=paper_and_figure(name)[0], figure=name) for claim in claims]
    return tuple(replace(claim, key=f"{name}.{number}") for number, claim in enumerate(named, 1))


def run_claims() -> list[RunClaim]:
    """What the papers claim of their figures, by paper and number."""
    table: dict[str, Figure | Study] = {**_FIGURES, **_STUDIES}
    return [claim for name in sorted(table, key=_place) for claim in table[name].claims]


def all_figures() -> list[Figure]:
    """All figures, by paper and number."""
    return [_FIGURES[name] for name in sorted(_FIGURES, key=_place)]


def _place(name: str) -> tuple[int, int]:
    paper, figure = paper_and_figure(name)
    return list(Paper).index(paper), int("".join(filter(str.isdigit, figure)) or 0)


def find_figure(name: str) -> Figure:
    """The figure of a name.

    Raises:
        InputError: there is none; the message suggests one.
    """
    if name in _STUDIES:
        raise InputError(f"{name} is no figure of runs: a study measures it, `python {_STUDIES[name].script}`")
    return look_up(name, {figure.name: figure for figure in all_figures()}, "there is no figure", "the figures are")
