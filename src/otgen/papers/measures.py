"""Metrics that several figures share."""

from __future__ import annotations

from otgen.papers.run_claims import Better, Measure

FRECHET = Measure(key="frechet", label="Fréchet distance", better=Better.LOWER, form=".2f")
SCORE = Measure(key="classifier_score", label="classifier score", better=Better.HIGHER, form=".2f")
LEAST_CLASS = Measure(key="classes_share_min", label="smallest class (even: 0.1)", better=Better.HIGHER, form=".3f")
MODES = Measure(key="modes_found", label="modes found", better=Better.HIGHER)
QUALITY = Measure(key="modes_high_quality", label="samples within 3 std", better=Better.HIGHER, form=".1%")
W1 = Measure(key="w1_matched", label="W1 to the data", better=Better.LOWER, form=".3f")
W1_OF_PIXELS = Measure(key="w1_matched", label="W1 of pixels to the data", better=Better.LOWER, form=".3f")
