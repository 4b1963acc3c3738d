"""A changed constant makes a check fail: Houdard et al. 2021."""

from __future__ import annotations

from cases.claims import is_seen, sabotaged


@sabotaged(
    {
        "C1": {"jump": (0.5,), "mean": (1.0,)},
        "C2": {"factor": (2.0,)},
        "C3": {"factor": (0.5, 2.0)},
        "C4": {"factor": (0.5, 2.0)},
        "C5": {"factor": (-1.0, 2.0)},
        "C6": {"factor": (2.0,)},
        "H1": {"rate": (1.0,), "swing": (2.0,)},
        "H41": {"jacobians": (2,), "factor": (0.5,)},
    }
)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert is_seen(key, constant, wrong)
