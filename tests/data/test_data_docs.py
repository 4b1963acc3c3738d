"""The page on data runs as printed, and names every source."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import otgen.data
from cases import tables
from otgen.data import ColumnKind, Table
from otgen.data.table_description import described

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), {"__name__": "example"})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "torch.Size([128, 2]) (2,) None"
    assert printed[-1] == "torch.Size([5, 2])"


def rows_of_the_page() -> Callable[..., dict[str, Any]]:
    """The lines that turn samples into rows without otgen."""
    block = next(
        b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL) if "def c" in b
    )
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    assert "otgen" not in block
    return names["columns_of"]  # type: ignore[no-any-return]


FRAME = tables.mixed(150).assign(
    gone=None,
    user=[f"A{k:03d}" for k in range(150)],
    town=[f"town {7 * k % 31}" for k in range(150)],
    code=pd.Categorical(np.arange(150) % 3),
    seen=pd.date_range("2020-01-01 10:30", periods=150, freq="7h"),
    since=pd.Timestamp("2020-02-03"),
    day=[datetime.date(2020, 1, 1 + k % 28) for k in range(150)],
    member=[None, True, False] * 50,
    few=np.arange(150) % 3 / 2,
)


@pytest.mark.filterwarnings("ignore::otgen.errors.TableWarning")
@pytest.mark.parametrize(
    "options", [{}, {"bounds": False}, {"scaling": "standard"}, {"scaling": "standard", "bounds": False}]
)
@pytest.mark.parametrize("label", [None, "code"])
def test_the_lines_of_the_page_make_the_same_rows(options: dict[str, Any], label: str | None) -> None:
    coder = Table.of(FRAME, label=label, **options).coder
    samples = 2 * torch.randn(400, coder.width, generator=torch.Generator().manual_seed(0))
    places = None if label is None else np.arange(400) % 3
    # As a file holds them; the order of the labels is that of the run.
    about = json.loads(json.dumps(described(coder, () if label is None else ("2", "0", "1"))))
    made = rows_of_the_page()(samples.numpy(), about, places)
    rows = coder.decode(samples, None if places is None else np.array([2, 0, 1])[places])
    assert list(made) == list(rows)
    for name, values in made.items():
        gaps, expected = rows[name].isna().to_numpy(), rows[name].to_numpy()
        assert [value is None for value in values.tolist()] == gaps.tolist()
        kept = values[~gaps]
        if coder.columns[list(FRAME).index(name)].kind is ColumnKind.INTEGER:
            assert {type(value) for value in kept.tolist()} == {int}
        if rows[name].dtype.kind == "f":
            assert np.allclose(kept.astype(float), expected[~gaps], rtol=1e-9, atol=1e-9)
        elif name == "day":
            assert [value.date() for value in kept.tolist()] == list(expected)
        else:
            assert kept.tolist() == pd.Series(expected[~gaps]).to_numpy().astype(kept.dtype).tolist()


def test_the_table_names_every_source() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([A-Z]\w+)`", " ".join(row.split("|")[1] for row in rows)))
    bases = {"Source", "FiniteSource", "PixelSource", "HandwrittenDigits", "Mixture", "Split", "ValueRange"}
    bases |= {"Column", "ColumnKind", "RowCoder", "Scaling"}
    assert named == set(otgen.data.__all__) - bases - {
        "Classes",
        "LabelCode",
        "training_part",
        "fingerprint",
        "cifar10_at",
        "CIFAR10_CLASSES",
    }
