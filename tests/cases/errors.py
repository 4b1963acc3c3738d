"""What is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from otgen.errors import InputError


def input_error(match: str | None, call: Callable[..., object], *arguments: object, **options: object) -> str:
    """A call must end in an :class:`InputError` whose message, one line, matches; returns the message."""
    with pytest.raises(InputError, match=match) as caught:
        call(*arguments, **options)
    said = str(caught.value)
    assert "\n" not in said
    return said


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """A function that raises this, whatever it is called with."""

    def call(*arguments: object, **options: object) -> NoReturn:
        raise error

    return call


NO_PERMISSION = raising(PermissionError(13, "Permission denied"))
NO_SPACE = raising(OSError(28, "No space left on device"))
