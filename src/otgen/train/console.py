"""The console that commands print on."""

from __future__ import annotations

from rich import console
from typing_extensions import override


class Console(console.Console):
    """A console that says when its reader has left, instead of ending the process: training goes on, and is saved."""

    @override
    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError
