"""What a package offers."""

from __future__ import annotations

from otgen import errors, ot
from otgen.exports import exported


def test_names_are_public_and_no_modules() -> None:
    namespace = {"f": len, "_g": len, "errors": errors, "annotations": 0, "Cost": object, "L10": object, "L2": object}
    assert exported(namespace | {"KL": object}) == ["KL", "L2", "L10", "Cost", "f"]


def test_a_star_import_takes_what_the_package_offers() -> None:
    namespace: dict[str, object] = {}
    exec("from otgen.ot import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(ot.__all__)
    assert {"solve", "Discrete", "KL"} <= set(namespace)
