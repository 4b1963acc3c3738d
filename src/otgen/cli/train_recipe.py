"""What `otgen train` trains: a recipe by its name, or the one for the data at a path."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otgen import methods
from otgen.cli.few_data import refuse_too_few
from otgen.cli.recognise import is_data, recognise
from otgen.cli.usage import UsageError
from otgen.data import Source, Table
from otgen.errors import InputError
from otgen.papers import Recipe, Scale, all_figures, find, find_figure
from otgen.train import RunDir

_DEFAULT_RECIPE = "digits"
# Where somebody brings data, of which nobody knows yet that they are images.
_ANY_DATA = "pixels"
# From what is short or has hyphens to the option of the configuration.
_LONG = {"--label": "--data.label", "--init-from": "--init_from"}


@dataclass(frozen=True)
class Chosen:
    """What to train.

    Attributes:
        recipe: decides the defaults of all options.
        words: options that go before the user's own.
        notes: lines that say why.
        table: the table that was read to recognise it.
    """

    recipe: Recipe
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: Table | None = None

    def lend(self, data: Source) -> None:
        """Spare data that are this table a second reading."""
        if self.table is not None and isinstance(data, Table):
            data.adopt(self.table)


def long_forms(words: Sequence[str]) -> list[str]:
    """The words of the command with every option under its name in the configuration."""
    found = []
    for word in words:
        flag, equals, value = word.partition("=")
        found.append(f"{_LONG.get(flag, flag)}{equals}{value}")
    return found


def choose(name: str | None, given: argparse.Namespace) -> Chosen:
    """What to train.

    Args:
        name: the first word, if it is no option.
        given: which options there are besides, and their text.

    Raises:
        InputError: there is neither a recipe nor a file or folder of this name, or it holds nothing to train on.
        UsageError: the data are named twice, or a method stands in the place of a recipe.
    """
    if name is None:
        if given.init_from is not None and given.config is None:
            return Chosen(_recipe_of(given.init_from))
        return Chosen(find(_DEFAULT_RECIPE if given.data is None and given.config is None else _ANY_DATA))
    if not _is_recipe(name) and is_data(name):
        return _for_data(name, given)
    notes: tuple[str, ...] = ()
    if os.path.exists(name):
        what = "folder" if os.path.isdir(name) else "file"
        notes = (f"{name} is taken for the recipe; for the {what} of that name give {os.path.join('.', name)}",)
    return Chosen(_recipe(name), notes=notes)


def _for_data(name: str, given: argparse.Namespace) -> Chosen:
    if given.data is not None:
        raise UsageError(f"the data are given twice, by {name} and by --data {given.data}; leave one of them out")
    found = recognise(name, given.data_key, is_labelled=given.data_label is not None)
    if given.resume is not None:
        # It goes on with what it was started with.
        return Chosen(find(found.recipe), table=found.table)
    refuse_too_few(found.count, name)
    return Chosen(find(found.recipe), found.words, (found.line,), found.table)


def _recipe_of(run: str) -> Recipe:
    """The configuration of a run as a recipe: its networks are those that its weights fit."""
    config = RunDir.open(Path(run)).load_config()
    return Recipe(f"from-{Path(os.path.abspath(run)).name}", f"as {run}", lambda scale: config)


def _is_recipe(name: str) -> bool:
    figures = {figure.name: figure for figure in all_figures()}
    figure, slash, panel = name.partition("/")
    if slash:
        return figure in figures and any(panel == one.name for one in figures[figure].panels)
    try:
        find(name)
    except InputError:
        return False
    return True


def _recipe(name: str) -> Recipe:
    """The recipe of a name, or the panel of FIGURE/PANEL."""
    figure, slash, panel = name.partition("/")
    if slash:
        return find_figure(figure).recipe(panel)
    method = getattr(methods, name, None)
    if isinstance(method, type) and issubclass(method, methods.Method):
        panels = [(f.name, p) for f in all_figures() for p in f.panels]
        own = [f"{f}/{p.name}" for f, p in panels if type(p.build(Scale.CPU).method) is method]
        chosen = f"; panels with settings of their own for it: {', '.join(own)}" if own else ""
        raise UsageError(f"{name} is a method, not a recipe: otgen train RECIPE --method {name}{chosen}")
    return find(name)
