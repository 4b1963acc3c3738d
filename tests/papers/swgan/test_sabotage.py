"""Sanjabi et al. 2018: a changed constant makes the check of a theorem fail."""

from __future__ import annotations

from cases.claims import is_seen, sabotaged


@sabotaged(
    {
        "N1": {"shift": (2.0, -1.0), "excess": (0.5,)},
        "S1": {"entropy_factor": (2.0,)},
        "S1b": {"least": (1.0, 0.25)},
        "S2": {"share": (-1.0, 0.5), "factor": (2.0,)},
        "S3": {"legs": (0.5, 2.0), "sharp": (0.5, 2.0)},
        "S3b": {"above": (0.5, 2.0), "below": (0.5, 2.0), "least": (0.25, 1.0), "most": (0.25, 1.0)},
        "S4": {"factor": (0.5, 2.0), "entropy": (0.5, 2.0), "norm": (0.25, 1.0), "sharp": (0.25, 1.0)},
        "S5": {"plan": (0.5, 2.0), "curvature": (0.5, 2.0), "coupling": (0.5, 2.0)},
        "S6": {"plan": (0.5, 2.0), "curvature": (0.5, 2.0), "coupling": (0.5, 2.0)},
        "S7": {"factor": (1.0, 4.0)},
        "S7b": {"factor": (-1.0,), "norm_factor": (1.0, 0.25)},
        "S7c": {"factor": (0.5, 2.0), "power": (0.0, 1.0)},
        "S7k": {"factor": (1.0, 4.0), "power": (0.0, 2.0)},
        "S8": {
            "start": (1.0, 4.0),
            "noise": (0.5, 2.0),
            "rate": (4.0, 16.0),
            "error": (0.5, 2.0),
            "power": (-1.0,),
        },
        "S9": {"power": (1.0,), "factor": (1.0, 4.0)},
        "S10": {"factor": (0.5, 2.0), "norm_factor": (1.0, 4.0), "power": (-1.0,)},
        "S11": {"own": (2.0,), "order": (1.0,)},
        "S11b": {"power": (4.0,)},
        "S11c": {"factor": (1.0,), "cross": (1.0,)},
        "S12": {"factor": (0.5, 2.0)},
        "S12b": {"power": (2.0,), "factor": (0.5, 2.0), "sharp": (0.5,)},
        "S12c": {"threshold": (0.5, 2.0)},
        "S13": {"factor": (0.5, 2.0)},
        "S14": {"scale": (2.0,), "bias": (0.5, 2.0)},
        "S15": {"factor": (0.125, 0.5)},
        "S16": {"shrink": (1.0,), "norm": (1.0,)},
        "S17": {"error": (1.5, 6.0), "variance": (2.5, 10.0)},
        "S18": {"exponent": (88.7,)},
    }
)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert is_seen(key, constant, wrong)
