"""What is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otgen.errors import InputError


def input_error(match: str | None, call: Callable[..., object], *arguments: object, **options: object) -> str:
    """A call must end in an :class:`InputError` whose message, one line, matches; returns the message."""
    with pytest.raises(InputError, match=match) as caught:
        call(*arguments, **options)
    said = str(caught.value)
    assert "\n" not in said
    return said
