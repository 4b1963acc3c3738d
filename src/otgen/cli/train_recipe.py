"""What `otgen train` trains: a recipe by its name, or the one for the data at a path."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otgen import data, files, methods
from otgen.cli.few_data import refuse_too_few
from otgen.cli.recognise import is_data, recognise
from otgen.cli.usage import UsageError
from otgen.data import Source, Table
from otgen.errors import InputError, suggestion
from otgen.papers import Recipe, Scale, all_figures, find, find_figure, names
from otgen.train import RunDir

_DEFAULT_RECIPE = "digits"
# Where somebody brings data, of which nobody knows yet that they are images.
_ANY_DATA = "pixels"
# Between the classes of a label the solver moves mass slowly: after the recipe's 30 steps the interval of
# the loss is about as wide as the loss itself, after these a tenth of that, at two thirds of the speed.
_LABELLED = ("--method.max_steps", "120")
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
    _refuse_misplaced_path(name, given)
    if name is None:
        if given.init_from is not None and given.config is None:
            return Chosen(_recipe_of(given.init_from))
        return Chosen(find(_DEFAULT_RECIPE if given.data is None and given.config is None else _ANY_DATA))
    if _is_path(name):
        return _for_data(name, given)
    recipe = _recipe(name)
    return Chosen(recipe, notes=(_twofold(name, recipe, given),) if os.path.exists(name) else ())


def _refuse_misplaced_path(name: str | None, given: argparse.Namespace) -> None:
    """Refuse a path where a kind of data is named: it would be taken for a class, and its folder for a module."""
    if given.data and given.data not in data.__all__ and (os.path.exists(given.data) or is_data(given.data)):
        raise UsageError(
            f"--data takes a kind of data, such as ImageFolder, and {given.data} is a path; that stands first, without "
            f"an option: otgen train {given.data}"
        )
    if name is None and given.misplaced is not None:
        raise UsageError(
            f"the path of the data stands first, without an option: otgen train {given.misplaced or 'PATH'} ..."
        )


def _twofold(name: str, recipe: Recipe, given: argparse.Namespace) -> str:
    """The line on a word that is a recipe, and a folder or a file besides."""
    what = "folder" if os.path.isdir(name) else "file"
    named = (given.data, given.data_folder, given.data_path, given.config)
    own = (
        ""
        if any(option is not None for option in named)
        else f", on its own data, {_told(recipe.build(Scale.CPU).data)}"
    )
    return (
        f"{name} is a recipe, and a {what} here: the recipe is taken{own}. To have the {what} looked at and the recipe "
        f"chosen for it: otgen train {os.path.join('.', name)}"
    )


def _told(source: Source) -> str:
    """Data in a few words."""
    where = getattr(source, "folder", None)
    return type(source).__name__ if where is None else f"{type(source).__name__} of {where}"


def _for_data(name: str, given: argparse.Namespace) -> Chosen:
    if given.data is not None:
        raise UsageError(f"the data are given twice, by {name} and by --data {given.data}; leave one of them out")
    found = recognise(
        name, given.data_key, is_labelled=given.data_label is not None, is_scaled=given.data_scaling is not None
    )
    if given.resume is not None:
        # It goes on with what it was started with.
        return Chosen(find(found.recipe), table=found.table)
    refuse_too_few(found.count, name)
    # Another method may have no such option.
    labelled = found.table is not None and given.data_label is not None and given.method is given.config is None
    words = (*found.words, *_LABELLED) if labelled else found.words
    return Chosen(find(found.recipe), words, (found.line,), found.table)


def _recipe_of(run: str) -> Recipe:
    """The configuration of a run as a recipe: its networks are those that its weights fit."""
    config = RunDir.open(Path(run)).load_config()
    return Recipe(f"from-{Path(os.path.abspath(run)).name}", f"as {run}", lambda scale: config)


def _is_path(name: str) -> bool:
    """Whether a word is meant as a path, be there anything or not."""
    head, slash, panel = name.partition("/")
    if not slash:
        return name not in {recipe.name for recipe in names()} and is_data(name)
    figures = {figure.name: figure for figure in all_figures()}
    if head in figures and any(panel == one.name for one in figures[head].panels):
        return False
    # Of a mistyped figure or panel the figures say what there is.
    meant = head in figures or (suggestion(head, figures) and not os.path.exists(head))
    return is_data(name) or not meant


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
    try:
        return find(name)
    except InputError as error:
        # A word without a slash may be a folder that is elsewhere, or has another name.
        known = [recipe.name for recipe in names()]
        near = suggestion(name, [*known, *files.entries(Path())]) or ";"
        raise InputError(
            f"there is no recipe, folder or file {name!r}{near} the recipes are {', '.join(known)}"
        ) from error
