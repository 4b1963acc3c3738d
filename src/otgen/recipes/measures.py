"""Metrics that the figures of images share."""

from __future__ import annotations

from otgen.recipes.verdicts import Better, Measure

FRECHET = Measure(key="frechet", label="Fréchet distance", better=Better.LOWER, form=".2f")
SCORE = Measure(key="classifier_score", label="classifier score", better=Better.HIGHER, form=".2f")
