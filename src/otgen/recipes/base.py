"""The table of recipes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from otgen.errors import InputError
from otgen.train import RunConfig
from otgen.train.config import register_enum


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
    if name not in _RECIPES:
        near = difflib.get_close_matches(name, _RECIPES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"there is no recipe {name!r}; {hint}the recipes are {', '.join(sorted(_RECIPES))}")
    return _RECIPES[name]
