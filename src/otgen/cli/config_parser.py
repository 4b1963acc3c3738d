"""The parser of commands whose options are components: parsing ends in one line instead of a page."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from typing_extensions import override

from otgen import renamed
from otgen.cli.usage import UsageError, reworded, unknown_option
from otgen.errors import InputError, OtgenError
from otgen.own_modules import ForeignClass
from otgen.train import yaml_text
from otgen.train.config import plain
from otgen.train.config_files import ConfigParser, Unfit, read
from otgen.train.config_problems import Option, first_problem, near_option

# Parsing words, jsonargparse makes parsers of the same class for the options of components.
_is_inside: ContextVar[bool] = ContextVar("inside a parser", default=False)


class ForeignWord(UsageError, ForeignClass):
    """The words of a command name a class of a module that may not be imported."""


class Parser(ConfigParser):
    """A parser whose errors are one line in words of ours, with a suggestion for a mistyped name.

    Attributes:
        guidance: what its help begins with.
    """

    prefix = "--"
    guidance = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        # The first letters of an option are another one's after the next release.
        super().__init__(*args, **{"allow_abbrev": False} | options)

    @override
    def format_help(self, *args: Any, **options: Any) -> str:
        """The help, after the guidance."""
        return f"{self.guidance}{super().format_help(*args, **options)}"

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of exiting; the words are the parser's own, and are not shown."""
        raise argparse.ArgumentError(None, " ".join(message.split())) from ex

    @override
    def parse_args(self, args: Sequence[str], **options: Any) -> Namespace:  # type: ignore[override]
        """Parse the words of a command.

        Raises:
            UsageError: they are not understood, or a file that they name is not.
        """
        if _is_inside.get():
            return super().parse_args(args, **options)
        words = list(args)
        token = _is_inside.set(True)
        try:
            given = self._values_by_option(words)
            self.guard(given, in_words=True)
            _check_files(given.get("config", ()))
            parsed = super().parse_args(words, **options)
            self.check(parsed)
            return parsed
        except ForeignClass as error:
            raise ForeignWord(str(error)) from error
        except Exception as error:  # jsonargparse raises errors of many kinds
            raise UsageError(self._told(error, words)) from error
        finally:
            _is_inside.reset(token)

    def _told(self, error: Exception, words: Sequence[str]) -> str:
        """What is wrong with the words."""
        known = [o for action in self._actions for o in action.option_strings if not o.endswith((".help", "+"))]
        own = next((e for e in _chain(error) if isinstance(e, OtgenError)), None)
        if own is not None:
            return (self._problem_of_files(words) if isinstance(own, Unfit) else None) or str(own)
        # What is wrong is wrong beside former names, which are read.
        words, _ = renamed.updated_words(words)
        message, given = str(error), self._given(words)
        problem = first_problem(given, self.options, "--")
        # Of an option of a component the parser says only the last parts.
        head = re.search(r"arguments: --([\w\-]+)", message)
        return (
            (problem if head is not None and head[1] not in self.options else None)
            or unknown_option(message, known, lambda word: near_option(word, self.options, given, "--"))
            or problem
            or self._problem_of_files(words)
            or self._missing(message, words)
            or reworded(message)
            or "these words do not fit together; otgen COMMAND --help says what each option may be"
        )

    def _missing(self, message: str, words: Sequence[str]) -> str | None:
        """What must be given, and is not."""
        if "expected one argument" in message:
            bare = [name for name, text in self._pairs(words) if text is None and not name.endswith("help")]
            valued = [name for name in bare if "." in name or self.options.get(name, Option(bool)).kind is not bool]
            return f"--{valued[0]} needs a value" if valued else None
        required = re.search(r"following arguments are required: (.+)", message)
        if required is None:
            return None
        names = [f"--{name}" if name in self.options else name for name in required[1].split(", ")]
        return f"{' and '.join(names)} must be given"

    def _problem_of_files(self, words: Sequence[str]) -> str | None:
        """What is wrong with the files of options."""
        for name, text in self._pairs(words):
            if name == "config" and text is not None:
                given = _value("--config", text)
                is_file = not isinstance(given, dict)
                given = yaml_text.values(read(Path(text))) if is_file else given
                found = first_problem(given, self.options)
                if found is not None:
                    return f"{text}: {found}" if is_file else found
        return None

    def _pairs(self, words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """The options among the words, each with its value."""
        flags = {o for action in self._actions if action.nargs == 0 for o in action.option_strings}
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if not word.startswith("--") or len(word) == 2:
                continue
            flag, equals, value = word.partition("=")
            if equals:
                yield flag[2:], value
            elif flag in flags or not waiting or re.match(r"-(?![\d.])", waiting[0]):
                yield flag[2:], None
            else:
                yield flag[2:], waiting.pop(0)

    def _values_by_option(self, words: Sequence[str]) -> dict[str, Any]:
        """What each option is given, every time it is given; of a file only its name."""
        found: dict[str, Any] = {}
        for name, text in self._pairs(words):
            if name.partition(".")[0].removesuffix("+") in self.options:
                found[name] = (*found.get(name, ()), None if text is None else _value(f"--{name}", text))
        return found

    def _given(self, words: Sequence[str]) -> dict[str, Any]:
        """The values of all options, as a file would hold them."""
        found: dict[str, Any] = {}
        for name, text in self._pairs(words):
            first, *rest = name.removesuffix("+").split(".")
            option = self.options.get(first)
            if option is None or text is None or rest[-1:] == ["help"] or option.kind in (bool, object):
                continue
            value = text if option.kind in (str, str | None) else _value(f"--{name}", text)
            _put(found, [first, *(part for part in rest if part != "init_args")], value, option)
        return found


def _check_files(values: Sequence[Any]) -> None:
    """Refuse what is no file of options; the parser would wait for ever for some of them."""
    for value in values:
        if value is not None and not isinstance(value, dict):
            try:
                read(Path(str(value)))
            except InputError as error:
                raise InputError(f"--config {value}: {error}") from error


def _value(option: str, text: str) -> Any:
    """What a word means: a number, a list or a mapping where it reads as one, else text."""
    if not text.strip():
        return text
    try:
        return yaml_text.values(text)
    except yaml_text.OutsideLimits as error:
        # "*.png" is text, though it begins as an alias does.
        if text.lstrip()[:1] in ("[", "{") or "\n" in text:
            raise InputError(f"{option} cannot be read: {error}") from error
    except InputError:
        pass
    return text


def _put(values: dict[str, Any], parts: Sequence[str], value: Any, option: Option) -> None:
    """Enter the value of ``--a.b.c`` where a file would hold it."""
    first, *rest = parts
    if not rest:
        values[first] = value
        return
    # The parser has the default of a component as a mapping already.
    default = option.default if isinstance(option.default, dict) else plain(option.default)
    before = values.get(first, default)
    inside: dict[str, Any] = {"class_path": before} if isinstance(before, str) else {}
    inside |= before if isinstance(before, dict) else {}
    if rest == ["class_path"]:
        values[first] = {"class_path": value}
        return
    if "class_path" in inside:
        arguments = dict(inside.get("init_args") or {})
        _put(arguments, rest, value, Option(object))
        inside["init_args"] = arguments
    else:
        _put(inside, rest, value, Option(object))
    values[first] = inside


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
