"""The table of recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from otgen.errors import InputError, RenamedWarning, suggestion, warn
from otgen.train import RunConfig
from otgen.train.config import register_enum

T = TypeVar("T")


class Scale(StrEnum):
    """How much computing a recipe may take."""

    SMOKE = "smoke"
    """Seconds: shows that it runs."""
    CPU = "cpu"
    """Minutes on two cores: shows what it can do."""
    PAPER = "paper"
    """What the paper spent."""


register_enum(Scale)


@dataclass(frozen=True)
class Recipe:
    """A named configuration.

    Attributes:
        name: on the command line.
        summary: one line.
        build: from a scale to the configuration.
    """

    name: str
    summary: str
    build: Callable[[Scale], RunConfig]


_RECIPES: dict[str, Recipe] = {}
_FORMER = {"digits.best": "own.digits"}

Builder = Callable[[Scale], RunConfig]


def recipe(name: str, summary: str) -> Callable[[Builder], Builder]:
    """Enter a function in the table."""

    def enter(build: Builder) -> Builder:
        _RECIPES[name] = Recipe(name, summary, build)
        return build

    return enter


def names() -> list[Recipe]:
    """All recipes, by name."""
    return [_RECIPES[name] for name in sorted(_RECIPES)]


def find(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        InputError: there is none; the message suggests one.
    """
    return look_up(name, {recipe.name: recipe for recipe in names()}, "there is no recipe", "the recipes are")


def look_up(name: str, table: Mapping[str, T], missing: str, among: str) -> T:
    """What a table has under a name; a former name is accepted with a warning.

    Args:
        name: as it was given.
        table: in the order in which its names are told.
        missing: begins the message where there is none; the name follows.
        among: comes before the names that there are.

    Raises:
        InputError: there is none; the message suggests one.
    """
    if name in _FORMER:
        warn(f"{name!r} is now {_FORMER[name]!r}; the former name goes with the next release", RenamedWarning)
        name = _FORMER[name]
    if name not in table:
        raise InputError(f"{missing} {name!r}{suggestion(name, table) or ';'} {among} {', '.join(table)}")
    return table[name]
