"""Runs of figures and recipes draw no pixels."""

from __future__ import annotations

import pytest

from cases.pixels import unrendered


@pytest.fixture(autouse=True)
def _unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", unrendered)
