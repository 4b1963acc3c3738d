"""Configurations from flags and YAML files, and back to YAML."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace
from jsonargparse._core import ArgumentGroup
from typing_extensions import override

from otgen import files, own_modules, renamed
from otgen.errors import InputError, OtgenError, RenamedWarning
from otgen.own_modules import ForeignClass
from otgen.train import yaml_text
from otgen.train.config import RunConfig, plain
from otgen.train.config_guard import guard, kinds_of
from otgen.train.config_problems import Option, first_problem, shown

P = TypeVar("P", bound="ConfigParser")

# The parts of a run that are chosen by class.
_COMPONENTS = ("data", "latent", "generator", "method")

# Before the sum of a file's text, in its first line.
_SUM = "# sha256 of what follows: "
_UNKNOWN = "its values do not fit together; otgen train --help says what each may be"


class Unfit(InputError):
    """A value is not of its option's type."""


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
    # Before the names of options in messages.
    prefix = ""

    def add_config(self, default: RunConfig) -> None:
        """Add the options of a run, with the values of ``default`` as defaults."""
        self.add_class_arguments(RunConfig)
        self.set_defaults(plain(default))
        self.base = default

    @property
    def options(self) -> dict[str, Option]:
        """All options and their types, of a run those of its first level."""
        found: dict[str, Option] = {}
        for action in self._actions:
            # An action of a flag has no type; one of jsonargparse keeps it to itself; a file is given by its name.
            kind = bool if action.nargs == 0 else getattr(action, "_typehint", action.type) or str
            names = (name for name in action.option_strings if name.startswith("--") and "." not in name)
            found |= {name[2:].removesuffix("+"): Option(kind, action.default) for name in names}
        found.pop("help", None)
        if self.base is not None:
            found |= {name: Option(kind, getattr(self.base, name)) for name, kind in kinds_of(RunConfig).items()}
        return found

    @override
    def instantiate(self, *args: Any, **options: Any) -> Namespace:
        """Build the components; what a component itself says of its options is what is raised.

        Raises:
            InputError: options of a component are impossible.
        """
        try:
            return cast(Namespace, super().instantiate(*args, **options))
        except OtgenError:
            raise
        except Exception as error:
            # For an option that may be null, the parser wraps it into a page about types.
            first: BaseException = error
            while first.__cause__ is not None:
                first = first.__cause__
            if isinstance(first, OtgenError):
                raise InputError(str(first)) from error
            if first is not error:
                raise InputError(f"{type(first).__name__}: {first}") from error
            raise

    def check(self, parsed: Namespace) -> None:
        """Refuse values that do not fit; jsonargparse lets null through wherever it stands.

        Raises:
            Unfit: the first of them.
        """
        # Of files of options the names alone are there; those are checked when they are read.
        found = parsed.as_dict()
        known = {name: found[name] for name in self.options if name in found and name != "config"}
        problem = first_problem(known, self.options, self.prefix)
        if problem is not None:
            raise Unfit(problem)

    def guard(self, options: Mapping[str, Any], *, in_words: bool = False) -> None:
        """Refuse a configuration that names a class which may not be imported; see :func:`config_guard.guard`."""
        guard(options, {name: option.kind for name, option in self.options.items()}, in_words=in_words)

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
    def parse_path(self, path: Any, *args: Any, **options: Any) -> Namespace:
        """Parse a file."""
        try:
            return self.parse_string(read(Path(path)), *args, **options)
        except ForeignClass as error:
            raise ForeignClass(f"{path}: {error}") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @override
    def parse_string(self, content: str, *args: Any, **options: Any) -> Namespace:
        """Parse the text of a file, which may use former names.

        Raises:
            InputError: it is no YAML, has what a configuration has not, names a class that it may not, or has a value
                that does not fit.
        """
        given = yaml_text.values(content)
        if not isinstance(given, dict):
            raise InputError(f"it holds no options, but {shown(given)}; write one a line, as in `steps: 100`")
        self.guard(given)
        today = renamed.updated(given, self.base)
        if today != given:
            self.guard(today)
            content = _dumped(today)
        try:
            return cast(Namespace, super().parse_string(content, *args, **options))
        except OtgenError as error:
            raise InputError(first_problem(today, self.options) or str(error)) from error
        except Exception as error:  # jsonargparse raises errors of many kinds, in words of its own
            raise InputError(first_problem(today, self.options) or _UNKNOWN) from error


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


def load(path: Path, *, within: Path | None = None, without_method: bool = False) -> RunConfig:
    """Read a ``config.yaml``, written by :func:`save` or by hand.

    Args:
        path: the file.
        within: the folder that it must not leave, see :func:`otgen.files.read`.
        without_method: pass over the method, so that no class that it names is imported; it is the default one.

    Raises:
        ForeignClass: it names a class that is neither otgen's nor of a folder that the user has named.
        InputError: the file is missing or malformed, a key is unknown, or a value has the wrong type.
    """
    try:
        text = read(path, within)
        default = RunConfig(steps=1)
        # A run's file holds every value: one without this was written when nothing was held out of the data.
        default = dataclasses.replace(default, holdout=0.0) if text.startswith(_SUM) else default
        if without_method:
            given = yaml_text.values(text)
            text = _dumped({k: v for k, v in given.items() if k != "method"}) if isinstance(given, dict) else text
        classes = _classes(text, default)
        parser, parsed = parse_config(_reader, lambda p: p.parse_string(text), default, classes)
        parser.check(parsed)
        return build(parser, parsed)
    except ForeignClass as error:
        raise ForeignClass(f"{path}: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) if isinstance(error, (OtgenError, ValueError)) else _UNKNOWN
        raise InputError(f"{path} is no configuration of a run: {reason}") from error


def _reader() -> ConfigParser:
    """The parser of a configuration's file."""
    return ConfigParser(exit_on_error=False)


def read(path: Path, within: Path | None = None) -> str:
    """The text of a configuration's file.

    Args:
        path: the file.
        within: the folder that it must not leave, see :func:`otgen.files.read`.

    Raises:
        InputError: it is no regular file, cannot be read, is too large, or no text.
    """
    try:
        return files.read_text(path, within=within, most=yaml_text.MOST_BYTES)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError("it is no text in UTF-8") from error


def _classes(text: str, default: RunConfig) -> dict[str, str]:
    """The classes of a file's components that differ from the default's, as far as :func:`save` wrote the file."""
    # Of otgen's own packages alone: the text has not been checked yet.
    packages = "|".join(own_modules.PACKAGES)
    pattern = rf"^({'|'.join(_COMPONENTS)}):\n  class_path: (otgen\.(?:{packages})\.(\w+))$"
    found = re.findall(pattern, text, re.MULTILINE)
    return {
        component: class_path
        for component, class_path, name in found
        if isinstance(vars(sys.modules[class_path.rpartition(".")[0]]).get(name), type)
        and class_path != plain(getattr(default, component))["class_path"]
    }


def save(config: RunConfig, path: Path, *, within: Path | None = None, sync: bool = False) -> None:
    """Write every value, resolved; the file is written completely or left as it was, see :func:`otgen.files.write`."""
    files.write(path, text_of(config), within=within, sync=sync)


def text_of(config: RunConfig) -> str:
    """The text of a configuration's file: the values as YAML, after a first line with their sum."""
    text = _dumped(plain(config))
    return f"{_SUM}{_sum(text)}\n{text}"


def is_untouched(text: str) -> bool | None:
    """Whether a configuration's file is as :func:`save` wrote it, by the sum in its first line.

    Returns:
        None where the first line has no sum: an earlier version wrote the file, or a person.
    """
    # A damaged letter of the first line must not make it none.
    like = sum(one == other for one, other in zip(text, _SUM, strict=False))
    if like < len(_SUM) // 2:
        return None
    first, _, rest = text.partition("\n")
    return first == f"{_SUM}{_sum(rest)}"


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
