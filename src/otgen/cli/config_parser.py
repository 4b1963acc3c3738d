"""The parser of commands whose options are components: parsing ends in one line instead of a page."""

from __future__ import annotations

import re
from typing import NoReturn

from typing_extensions import override

from otgen.cli.usage import UsageError, unknown_option
from otgen.errors import suggestion
from otgen.train.config_files import ConfigParser


class Parser(ConfigParser):
    """A parser whose errors are one line, with a suggestion for a mistyped name."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(self._mended(" ".join(message.split())))

    def _mended(self, message: str) -> str:
        options = [o for action in self._actions for o in action.option_strings if not o.endswith(".help")]
        unknown = unknown_option(message, options)
        if unknown is not None:
            return unknown
        # A key of a file, or of a component given on the command line.
        key = re.search(r"(?:[Oo]ption|[Kk]ey) [\"']([\w.]+)[\"'] is not (?:accepted|expected)", message)
        key = key or re.search(r"does not accept (?:option|nested key) [\"']([\w.]+)[\"']", message)
        if key:
            return f"{message}{_guess(key[1].split('.')[-1], message, options)}"
        path = re.search(r"Expected a dot import path string: ([\w.]+)", message)
        if path:
            return f"there is no component {path[1]!r}{suggestion(path[1], sorted(_fields()))} (otgen list shows them)"
        return message


def _guess(word: str, message: str, options: list[str]) -> str:
    """A suggestion from the component that the message names, or else from everything."""
    owner = re.search(r"class_path '([\w.]+)'", message)
    fields = _fields()
    everything = sorted(set().union(*fields.values()))
    own = fields.get(owner[1].split(".")[-1]) if owner else None
    if own is not None:
        return suggestion(word, own, cutoff=0.4) or suggestion(word, everything)
    return suggestion(word, [*(option.removeprefix("--").split(".")[-1] for option in options), *everything])


def _fields() -> dict[str, list[str]]:
    """The fields of every component that a configuration can name."""
    import dataclasses

    from otgen import data, methods, nets, ot, train

    components = {name: getattr(module, name) for module in (data, methods, nets, ot, train) for name in module.__all__}
    # Of `ot` these alone: results, stopping tests and other problems' solvers are dataclasses too.
    named = (ot.Cost, ot.Regulariser, ot.Relative, ot.DiscreteSolver)
    return {
        name: [field.name for field in dataclasses.fields(kind)]
        for name, kind in components.items()
        if isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and (name not in ot.__all__ or issubclass(kind, named))
    }
