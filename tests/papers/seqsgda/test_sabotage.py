"""A changed constant makes a check fail: Adnan et al. 2021."""

from __future__ import annotations

from cases.claims import is_seen, sabotaged


@sabotaged(
    {
        "A14": {"factor": (2.0,)},
        "A17": {"factor": (-1.0, 0.5)},
        "A18": {"curvature": (1.0, 0.25), "gradient": (1.0,)},
        "A19": {"power": (4.0,), "rate": (1.0,)},
        "A21": {"power": (2.0, 0.5)},
        "A22": {"factor": (2.0, 0.5)},
        "A23": {"sign": (1.0, -2.0)},
        "A23b": {"concavity": (-0.5,)},
        "A26": {"half": (1.0, -0.5), "spread": (0.5,)},
        "B1": {"factor": (1.0,)},
        "B2": {"share": (1.0,), "power": (-0.5,)},
        "B3": {"steps": (1000,), "error": (0.19, 0.0475)},
        "B4": {"power": (2.0, 0.5)},
        "B5": {"power": (-0.5, -2.0)},
    }
)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert is_seen(key, constant, wrong)
