"""The console that reports are printed on."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from otgen.cli.printable import printable
from otgen.train.console import Console


class PlainConsole(Console):
    """Prints text as it is, in lines of any length: brackets are no colours in it, and nothing steers the terminal."""

    def __init__(self) -> None:
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False)

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        """Print; of text only what is printable, all else written out."""
        super().print(*(printable(item) if isinstance(item, str) else item for item in objects), **options)
