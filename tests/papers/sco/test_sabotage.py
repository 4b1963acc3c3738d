"""A changed constant makes a theorem of Pinetz et al. 2018 fail."""

from __future__ import annotations

from cases.claims import is_seen, sabotaged


@sabotaged(
    {
        "D1": {"factor": (2.0,)},
        "D1b": {"power": (0.5, 2.0)},
        "D2": {"drift": (2.0, -1.0)},
        "D3": {"factor": (0.5, 2.0)},
        "D4": {"one": (1.0,), "rate": (-1.2,)},
        "D5": {"factor": (0.5, 2.0)},
        "D6": {"sign": (1.0, -2.0)},
        "D8": {"sign": (-1.0,)},
        "D9": {"power": (0.5,)},
        "D10": {"factor": (1.0,), "square": (4.0, 16.0)},
        "D11": {"rate": (-2.0, -0.5)},
        "D12": {"power": (0.5,)},
    }
)
def test_a_changed_constant_is_seen(key: str, constant: str, wrong: float) -> None:
    assert is_seen(key, constant, wrong)
