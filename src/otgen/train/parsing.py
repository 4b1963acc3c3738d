"""Configurations from flags and YAML files, and back to YAML."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace
from jsonargparse._core import ArgumentGroup

from otgen.errors import InputError
from otgen.train.config import RunConfig, plain

P = TypeVar("P", bound="ConfigParser")

# The parts of a run that are chosen by class.
_COMPONENTS = ("data", "latent", "generator", "method")


class _ByValue:
    """Policies are written by their values: jsonargparse would show and keep the names of the members."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """As the parser's, with an enum's default and choices by value."""
        if isinstance(kwargs.get("default"), StrEnum):
            kwargs["default"] = kwargs["default"].value
        kind = kwargs.get("type")
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            kwargs.setdefault("metavar", "{" + ",".join(member.value for member in kind) + "}")
        return super().add_argument(*args, **kwargs)  # type: ignore[misc]


class _Group(_ByValue, ArgumentGroup):
    """A group of options."""


class ConfigParser(_ByValue, ArgumentParser):
    """A parser of configurations."""

    _group_class = _Group


def add_config(parser: ArgumentParser, default: RunConfig) -> None:
    """Give a parser a run's options, with the values of ``default``."""
    parser.add_class_arguments(RunConfig)
    parser.set_defaults(plain(default))


def parse_config(make: Callable[[], P], parse: Callable[[P], Namespace], default: RunConfig) -> tuple[P, Namespace]:
    """Parse, so that a component of another class than the default's starts from its own class's values.

    jsonargparse would carry the values of equal names over.
    """
    parser = make()
    add_config(parser, default)
    parsed = parse(parser)
    spec = plain(default)
    others = {
        name: {"class_path": parsed[name]["class_path"]}
        for name in _COMPONENTS
        if parsed[name]["class_path"] != spec[name]["class_path"]
    }
    if not others:
        return parser, parsed
    parser = make()
    add_config(parser, default)
    for name, chosen in others.items():
        parser.set_defaults({name: None})
        parser.set_defaults({name: chosen})
    return parser, parse(parser)


def build(parser: ArgumentParser, parsed: Namespace) -> RunConfig:
    """The configuration of what a parser parsed."""
    names = {field.name for field in dataclasses.fields(RunConfig)}
    instance = parser.instantiate(parsed)
    return RunConfig(**{name: instance[name] for name in names})


def load(path: Path) -> RunConfig:
    """Read a ``config.yaml`` that :func:`save` wrote, or a person.

    Raises:
        InputError: a missing or malformed file, an unknown key, a value of the wrong type.
    """
    try:
        make, default = (lambda: ConfigParser(exit_on_error=False)), RunConfig(steps=1)
        parser, parsed = parse_config(make, lambda p: p.parse_path(str(path)), default)
        return build(parser, parsed)
    except Exception as error:  # jsonargparse raises errors of many kinds
        raise InputError(f"{path} is no configuration of a run: {one_line(error)}") from error


def save(config: RunConfig, path: Path) -> None:
    """Write every value, resolved; the file is whole or as it was."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(written(config))
    os.replace(temporary, path)


def written(config: RunConfig) -> str:
    """The text of a configuration's file."""
    text: str = yaml.dump(plain(config), Dumper=_Dumper, sort_keys=False)
    return text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes all text that some YAML reader takes for something else."""


def _text(dumper: Any, value: str) -> Any:
    try:
        ambiguous = yaml.safe_load(value) != value
    except yaml.YAMLError:
        ambiguous = True
    with contextlib.suppress(ValueError):
        float(value.replace("_", ""))
        ambiguous = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if ambiguous else None)


_Dumper.add_representer(str, _text)


def suggestion(word: str, known: Sequence[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?`` where something known is near, else nothing."""
    # The word itself may be known elsewhere; here it was wrong.
    near = difflib.get_close_matches(word, [name for name in known if name != word], n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def one_line(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split())
