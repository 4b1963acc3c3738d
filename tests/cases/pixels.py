"""Figures of matplotlib without their pixels, which take most of a tiny run's time, and with them."""

from __future__ import annotations

from typing import Any

import matplotlib.figure

RENDERED = matplotlib.figure.Figure.savefig


def unrendered(self: matplotlib.figure.Figure, file: Any, **options: Any) -> None:
    """A figure that was composed as ever, and a few bytes in its picture's place."""
    file.write(b"a picture")
