"""Tables of pandas with columns of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def mixed(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Numbers, integers, flags, categories, dates, gaps, a constant and an id, some of them dependent."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "id": np.arange(100, 100 + n),
            "size": np.round(10 + 2 * size, 2),
            "weight": np.where(size < -0.3, 0.0, np.exp(size).round(3)),
            "rooms": rng.poisson(3, n),
            "big": size > 0,
            "colour": rng.choice(["blue", "green", "red"], n, p=[0.5, 0.3, 0.2]),
            "sold": (pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D")).strftime("%Y-%m-%d"),
            "country": "Åland",
        }
    )
    frame.loc[rng.random(n) < 0.2, "size"] = np.nan
    frame.loc[rng.random(n) < 0.1, "colour"] = np.nan
    return frame


def equal(one: Any, other: Any) -> bool:
    """Whether two frames have the same columns, dtypes and values, NaN where the other has."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    return True
