"""A changed constant makes a check fail: the closed forms that the tests rest on."""

from __future__ import annotations

from cases.claims import is_seen, sabotaged


@sabotaged(
    {
        "O1": {"norm": (1.0,)},
        "O2": {"factor": (1.0,)},
        "O3": {"stiffness": (4.0,)},
        "O4": {"shrink": (0.5,), "debiased": (2.0,)},
        "O5": {"coupling": (0.5, -1.0)},
        "O6": {"factor": (0.5, -1.0)},
        "O7": {"factor": (0.5,)},
        "O8": {"rate": (1.0,)},
        "O9": {"limit": (1 / 3,), "inside": (1.0,)},
        "O10": {"one": (1.0,), "seven": (1.0,)},
        "O11": {"coupling": (2.0,)},
        "O12": {"factor": (1.0,)},
    }
)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert is_seen(key, constant, wrong)
