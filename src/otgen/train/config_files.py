"""Configurations from flags and YAML files, and back to YAML."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace, get_loader
from jsonargparse._core import ArgumentGroup
from typing_extensions import override

from otgen import files, renamed
from otgen.errors import InputError, RenamedWarning
from otgen.train.config import RunConfig, plain

P = TypeVar("P", bound="ConfigParser")

# The parts of a run that are chosen by class.
_COMPONENTS = ("data", "latent", "generator", "method")


class _ByValue:
    """Writes enums by their values: jsonargparse would show and store the names of the members."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an argument as the base class does, but show an enum's default and choices by value."""
        if isinstance(kwargs.get("default"), StrEnum):
            kwargs["default"] = kwargs["default"].value
        kind = kwargs.get("type")
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            kwargs.setdefault("metavar", "{" + ",".join(member.value for member in kind) + "}")
        return super().add_argument(*args, **kwargs)  # type: ignore[misc]


class _Group(_ByValue, ArgumentGroup):
    """A group of options."""


class ConfigParser(_ByValue, ArgumentParser):
    """A parser of configurations, which replaces former names in them by the current ones.

    Attributes:
        base: the configuration that supplies the values that are not given.
    """

    _group_class = _Group
    base: RunConfig | None = None

    def add_config(self, default: RunConfig) -> None:
        """Add the options of a run, with the values of ``default`` as defaults."""
        self.add_class_arguments(RunConfig)
        self.set_defaults(plain(default))
        self.base = default

    @override
    def parse_args(self, args: Sequence[str], **options: Any) -> Namespace:  # type: ignore[override]
        """Parse the words of a command; if that fails, try again with former names replaced."""
        parsed: Namespace
        try:
            parsed = super().parse_args(args, **options)
        except Exception:  # jsonargparse raises errors of many kinds
            words, notes = renamed.updated_words(args)
            if not notes:
                raise
            renamed.tell(notes)
            with _told():
                parsed = super().parse_args(words, **options)
        return parsed

    @override
    def parse_string(self, content: str, *args: Any, **options: Any) -> Namespace:
        """Parse the text of a file, which may use former names."""
        try:
            config = get_loader("yaml")(content)
        except (ValueError, yaml.YAMLError):
            config = None  # the parser will report the error
        today = renamed.updated(config, self.base)
        parsed: Namespace = super().parse_string(content if today == config else _dumped(today), *args, **options)
        return parsed


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Suppress warnings of former names inside the context, because they have been given already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RenamedWarning)
        yield


def parse_config(
    make: Callable[[], P],
    parse: Callable[[P], Namespace],
    default: RunConfig,
    expected: Mapping[str, str] = MappingProxyType({}),
) -> tuple[P, Namespace]:
    """Parse; a component of another class than the default's starts from the defaults of its own class.

    jsonargparse alone would carry over the values of options with the same name.

    Args:
        make: makes an empty parser.
        parse: parses with it.
        default: the values that are not given.
        expected: class paths that the components are likely to have where it is not the default's: if they have, one
            pass is enough.
    """
    parser = _starting_from(make, default, expected)
    parsed, spec = parse(parser), plain(default)
    chosen = {name: parsed[name]["class_path"] for name in _COMPONENTS}
    others = {name: path for name, path in chosen.items() if path != spec[name]["class_path"]}
    if others != expected:
        parser = _starting_from(make, default, others)
        with _told():
            parsed = parse(parser)
    return parser, parsed


def _starting_from(make: Callable[[], P], default: RunConfig, others: Mapping[str, str]) -> P:
    """A parser whose defaults are those of ``default``, but of these classes for the components named here."""
    parser = make()
    parser.add_config(default)
    for name, path in others.items():
        parser.set_defaults({name: None})
        parser.set_defaults({name: {"class_path": path}})
    return parser


def build(parser: ArgumentParser, parsed: Namespace) -> RunConfig:
    """Build the configuration from a parser's result."""
    names = {field.name for field in dataclasses.fields(RunConfig)}
    instance = parser.instantiate(parsed)
    return RunConfig(**{name: instance[name] for name in names})


def load(path: Path, *, within: Path | None = None) -> RunConfig:
    """Read a ``config.yaml``, written by :func:`save` or by hand.

    Raises:
        InputError: the file is missing or malformed, a key is unknown, or a value has the wrong type.
    """
    try:
        make, default = (lambda: ConfigParser(exit_on_error=False)), RunConfig(steps=1)
        files.read_text(path, within=within)
        parser, parsed = parse_config(make, lambda p: p.parse_path(str(path)), default, _classes(path, default))
        return build(parser, parsed)
    except Exception as error:  # jsonargparse raises errors of many kinds
        raise InputError(f"{path} is no configuration of a run: {' '.join(str(error).split())}") from error


def _classes(path: Path, default: RunConfig) -> dict[str, str]:
    """The classes of a file's components that differ from the default's, as far as :func:`save` wrote the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}  # the parser will report the error
    pattern = rf"^({'|'.join(_COMPONENTS)}):\n  class_path: (([\w.]+)\.(\w+))$"
    found = re.findall(pattern, text, re.MULTILINE)
    return {
        component: class_path
        for component, class_path, package, name in found
        if hasattr(sys.modules.get(package), name) and class_path != plain(getattr(default, component))["class_path"]
    }


def save(config: RunConfig, path: Path) -> None:
    """Write every value, resolved; the file is written completely or left as it was."""
    files.write(path, written(config))


def text_of(config: RunConfig) -> str:
    """The text of a run's configuration file."""
    return written(config)


def is_untouched(text: str) -> bool | None:
    """Whether a file is as it was written."""
    return None


def written(config: RunConfig) -> str:
    """The text of a configuration's file."""
    return _dumped(plain(config))


def _dumped(config: dict[str, Any]) -> str:
    return str(yaml.dump(config, Dumper=_Dumper, sort_keys=False))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes all text that some YAML reader would take for another type."""


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'" if _is_ambiguous(value) else None)


@lru_cache(maxsize=1024)
def _is_ambiguous(text: str) -> bool:
    """Whether a reader may take it for another type; the names of options and classes come again in every file."""
    with contextlib.suppress(ValueError):
        float(text.replace("_", ""))
        return True
    try:
        return bool(yaml.safe_load(text) != text)
    except yaml.YAMLError:
        return True


_Dumper.add_representer(str, _text)
