"""The benchmarks that call the library's insides still run: a rename there is noticed by nobody else."""

from __future__ import annotations

import pytest
from benchmarks import seqsgda, steps
from benchmarks.report import Settings

from otgen.errors import InputError


def test_a_step_against_a_bare_loop() -> None:
    # Before it times them it compares the weights of both.
    table = steps.main(Settings(tiny=True))
    assert {row[1] for row in table.rows} >= {"SWGAN", "SWGANSinkhorn", "WGANGP", "SinkhornAutoDiff"}


def test_seqsgda_without_the_code_of_its_authors() -> None:
    table = seqsgda.main(Settings(tiny=True))
    # Two kinds of steps at two spreads, and a step of the generator.
    assert len(table.rows) == 5
    with pytest.raises(InputError, match="is not there; --authors is a checkout"):
        seqsgda.main(Settings(tiny=True, authors="/nowhere"))
