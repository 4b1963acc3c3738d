"""The tables of the demonstrations: each comes with a package, and none was used for tuning.

- ``cancer``: breast cancer of scikit-learn, 569 rows, 30 numbers and the diagnosis; made harder by two columns of
  categories (size, texture) and by 5 % missing values in all columns but the diagnosis;
- ``fair``: the survey of Fair (1978) as statsmodels has it, 6,366 rows of few different numbers, two occupations, and
  whether there was an affair;
- ``power``: ItalyPowerDemand of sktime, 1,096 days of 24 hours each, and the season: a time series as a table.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from otgen.data import ColumnKind
from otgen.errors import MissingDependency

# The codes of an occupation in `fair`, from 1.
OCCUPATIONS = ("student", "worker", "white collar", "teacher", "manager", "professional")


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A table and what it is for.

    Attributes:
        name: of its files.
        title: in a report.
        load: reads the table.
        kinds: what its columns hold, where that is not a number.
        target: the column that a forest predicts.
        held_out: share of the rows that are kept for the test.
    """

    name: str
    title: str
    load: Callable[[], pd.DataFrame]
    kinds: Mapping[str, ColumnKind]
    target: str
    held_out: float

    def kinds_of(self, frame: pd.DataFrame) -> dict[str, ColumnKind]:
        """What each column holds."""
        return {name: self.kinds.get(name, ColumnKind.NUMBER) for name in frame.columns}

    def split(self, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The training and the test rows, drawn by a seed."""
        frame = self.load()
        order = np.random.default_rng(seed).permutation(len(frame))
        tested = round(self.held_out * len(frame))
        return tuple(frame.iloc[part].reset_index(drop=True) for part in (order[tested:], order[:tested]))


def cancer() -> pd.DataFrame:
    """Breast cancer with categories and gaps; always the same."""
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer(as_frame=True)
    frame = loaded.data.copy()
    frame["size"] = pd.cut(frame["mean area"], [0, 400, 600, 900, 9000], labels=["S", "M", "L", "XL"]).astype(object)
    frame["texture"] = np.where(frame["mean texture"] > 19, "coarse", "fine").astype(object)
    rng = np.random.default_rng(0)
    for name in frame.columns:
        frame.loc[rng.random(len(frame)) < 0.05, name] = None
    frame["diagnosis"] = np.where(loaded.target == 1, "benign", "malignant")
    return frame


def fair() -> pd.DataFrame:
    """The survey of Fair, with words for occupations, and whether there was an affair in place of the time spent."""
    frame = pd.read_csv(_inside("statsmodels") / "datasets" / "fair" / "fair.csv")
    for name in ("occupation", "occupation_husb"):
        frame[name] = [OCCUPATIONS[int(code) - 1] for code in frame[name]]
    frame["affair"] = np.where(frame.pop("affairs") > 0, "yes", "no")
    return frame


def power() -> pd.DataFrame:
    """Electrical power demand of Italy, hour by hour; a row a day."""
    folder, rows = _inside("sktime") / "datasets" / "data" / "ItalyPowerDemand", []
    for part in ("TRAIN", "TEST"):
        lines = (folder / f"ItalyPowerDemand_{part}.ts").read_text(encoding="utf-8").splitlines()
        days = (line.split(":") for line in lines if line and line[0] not in "#@")
        rows += [[*map(float, values.split(",")), "winter" if label == "1" else "summer"] for values, label in days]
    return pd.DataFrame(rows, columns=[*(f"hour {k:02}" for k in range(24)), "season"])


def _inside(package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise MissingDependency(f"this table comes with {package}, which is not installed; pip install {package}")
    return Path(found.origin).parent


_CATEGORY = ColumnKind.CATEGORY
DEMONSTRATIONS = {
    one.name: one
    for one in (
        Demonstration(
            name="cancer",
            title="Breast cancer, with categories and 5 % gaps",
            load=cancer,
            kinds=dict.fromkeys(("size", "texture", "diagnosis"), _CATEGORY),
            target="diagnosis",
            held_out=0.2,
        ),
        Demonstration(
            name="fair",
            title="A survey: 6,366 answers of few different values",
            load=fair,
            kinds=dict.fromkeys(("occupation", "occupation_husb", "affair"), _CATEGORY),
            target="affair",
            held_out=0.2,
        ),
        Demonstration(
            name="power",
            title="A time series: power demand of 24 hours",
            load=power,
            kinds={"season": _CATEGORY},
            target="season",
            held_out=0.5,
        ),
    )
}
