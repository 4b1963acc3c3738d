"""Configurations from flags and YAML files, and back to YAML."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
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
    """A parser of configurations; former names in them are brought up to date.

    Attributes:
        base: what the values that are not given come from.
    """

    _group_class = _Group
    base: RunConfig | None = None

    def add_config(self, default: RunConfig) -> None:
        """Take a run's options, with the values of ``default``."""
        self.add_class_arguments(RunConfig)
        self.set_defaults(plain(default))
        self.base = default

    @override
    def parse_args(self, args: Sequence[str], **options: Any) -> Namespace:  # type: ignore[override]
        """Parse the words of a command; those that do not parse as they are may have former names in them."""
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
        """Parse the text of a file, whose names may be former ones."""
        try:
            config = get_loader("yaml")(content)
        except (ValueError, yaml.YAMLError):
            config = None  # which the parser will tell
        today = renamed.updated(config, self.base)
        parsed: Namespace = super().parse_string(content if today == config else _dumped(today), *args, **options)
        return parsed


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Former names were told already, and are met once more inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RenamedWarning)
        yield


def parse_config(make: Callable[[], P], parse: Callable[[P], Namespace], default: RunConfig) -> tuple[P, Namespace]:
    """Parse, so that a component of another class than the default's starts from its own class's values.

    jsonargparse would carry the values of equal names over.
    """
    parser = make()
    parser.add_config(default)
    parsed, spec = parse(parser), plain(default)
    chosen = {name: parsed[name]["class_path"] for name in _COMPONENTS}
    others = {name: path for name, path in chosen.items() if path != spec[name]["class_path"]}
    if others:
        parser = make()
        parser.add_config(default)
        for name, path in others.items():
            parser.set_defaults({name: None})
            parser.set_defaults({name: {"class_path": path}})
        with _told():
            parsed = parse(parser)
    return parser, parsed


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
        raise InputError(f"{path} is no configuration of a run: {' '.join(str(error).split())}") from error


def save(config: RunConfig, path: Path) -> None:
    """Write every value, resolved; the file is whole or as it was."""
    files.write(path, written(config))


def written(config: RunConfig) -> str:
    """The text of a configuration's file."""
    return _dumped(plain(config))


def _dumped(config: dict[str, Any]) -> str:
    text: str = yaml.dump(config, Dumper=_Dumper, sort_keys=False)
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
