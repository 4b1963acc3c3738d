"""Every theorem that is checked: what the modules of each paper's folder define, in the order of their keys."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

from otgen.claims.base import Paper, Theorem


def _place(theorem: Theorem) -> tuple[int, str, int, str]:
    """Short prefixes first, numbers by their size: ``A2``, ``A10``, ``A10b``, ``B1``, ``AE1``."""
    prefix, number, suffix = re.findall(r"[A-Z]+|\d+|[a-z]*$", theorem.key)[:3]
    return len(prefix), prefix, int(number), suffix


def _theorems(paper: Paper) -> list[Theorem]:
    folder = import_module(f"{__package__}.{paper.name.lower()}")
    modules = (import_module(f"{folder.__name__}.{file.name}") for file in pkgutil.iter_modules(folder.__path__))
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Theorem) and value.__module__ == module.__name__
    }
    return sorted((cls() for cls in classes if hasattr(cls, "key")), key=_place)


THEOREMS: tuple[Theorem, ...] = tuple(theorem for paper in Paper for theorem in _theorems(paper))
