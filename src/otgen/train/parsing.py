"""Configurations from flags and YAML files, and back to YAML."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace, get_loader
from jsonargparse._core import ArgumentGroup
from typing_extensions import override

from otgen import files, renamed
from otgen.errors import InputError, RenamedWarning
from otgen.train.config import RunConfig, flat, plain

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
        """Parse the words of a command."""
        parsed: Namespace = super().parse_args(_updated_words(args, self.base), **options)
        return parsed

    @override
    def parse_string(self, content: str, *args: Any, **options: Any) -> Namespace:
        """Parse the text of a file."""
        config = _loaded(content)
        today = renamed.updated(config, self.base)
        parsed: Namespace = super().parse_string(content if today == config else _dumped(today), *args, **options)
        return parsed


class _Parts:
    """The components of a run by their options, as the words of a command choose them one after the other."""

    def __init__(self, base: RunConfig | None) -> None:
        self.chosen: dict[str, Any] = {"": base}

    def at(self, path: str) -> Any:
        owner, _, name = path.rpartition(".")
        return self.chosen[path] if path in self.chosen else renamed.part_of(self.at(owner), name)

    def choose(self, path: str, named: type | None) -> None:
        if named is not None and named is not type(self.at(path)):
            self.chosen[path] = named


def _updated_words(words: Sequence[str], base: RunConfig | None) -> list[str]:
    """The words of a command with today's names."""
    today, notes, parts = list(words), list[str](), _Parts(base)
    for k, word in enumerate(words):
        if not word.startswith("--"):
            continue
        option, equals, value = word.removeprefix("--").partition("=")
        value = value if equals else "".join(words[k + 1 : k + 2])
        if option == "config":
            for name, item in flat(_loaded(Path(value))):
                if name.endswith(".class_path"):
                    parts.choose(name.removesuffix(".class_path"), renamed.class_of(item))
            continue
        owner, dot, name = option.rpartition(".")
        name, current = renamed.updated_option(name, value, parts.at(owner), notes)
        path = f"{owner}{dot}{name}"
        today[k] = f"--{path}={current}" if equals else f"--{path}"
        if not equals and current != value:
            today[k + 1] = current
        # Elsewhere a value with a dot may be anything, and is no module to load.
        if "." not in current or dataclasses.is_dataclass(parts.at(path)):
            parts.choose(path, renamed.class_of(current))
    renamed.tell(notes)
    return today


def _loaded(content: str | Path) -> Any:
    """What YAML says; None where it is none, which the parser will tell."""
    try:
        return get_loader("yaml")(content.read_text() if isinstance(content, Path) else content)
    except (OSError, ValueError, yaml.YAMLError):
        return None


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RenamedWarning)  # said already
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
