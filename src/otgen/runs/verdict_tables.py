"""What is wrong with the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otgen.runs.verdict_kinds import Fault, FaultKind

# Of tables: the largest KS or total variation of a column, error of correlations and loss of AUC that pass.
_COLUMN, _CORRELATION, _USE = 0.1, 0.1, 0.03
# Mean difference of the shares of missing values that passes.
_GAPS = 0.05
# A column follows from the others if so much of it is explained. It follows less than it should if so much of that is
# lost, or if what is not explained grows by so many times itself, and that is more than next to nothing.
_FOLLOWS, _LOST, _UNEXPLAINED, _LEAST_LOST, _EXACT = 0.3, 0.1, 2.0, 0.02, 0.001


def table_faults(values: Mapping[str, float]) -> Iterator[Fault]:
    """What is wrong with rows, as far as the stored numbers show it.

    Args:
        values: metric name to number; nothing is said of metrics that are missing.
    """
    for check in (_columns, _gaps, _explained, _together, _use):
        yield from check(values)


def _columns(values: Mapping[str, float]) -> Iterator[Fault]:
    columns = {key.partition("/")[2]: value for key, value in values.items() if key.startswith("marginal/")}
    # Few rows of many levels differ much by chance.
    chance = {name: values.get(f"marginal_chance/{name}", 0.0) for name in columns}
    off = {name: value - chance[name] for name, value in columns.items() if value > max(_COLUMN, chance[name])}
    if off:
        worst = max(off, key=lambda name: off[name])
        others = len(off) - 1
        more = f", and {others} more column{'s are' if others > 1 else ' is'} off by more than {_COLUMN}"
        beside = f" (by chance up to {chance[worst]:.2g})" if chance[worst] else ""
        said = f"The column {worst!r} is off most: {columns[worst]:.2g} in KS or total variation{beside}"
        yield Fault(FaultKind.COLUMN, f"{said}{f'{more} and by more than chance' if others else ''}.")


def _gaps(values: Mapping[str, float]) -> Iterator[Fault]:
    error = values.get("missing_error")
    if error is not None and error > _GAPS:
        yield Fault(FaultKind.GAPS, f"The shares of missing values are off by {error:.2g} in a column, on average.")


def _explained(values: Mapping[str, float]) -> Iterator[Fault]:
    """The column that follows less from the others than in real rows, by what weighs most."""
    worst, weight = "", 1.0
    for key, share in values.items():
        if not key.startswith("explained/"):
            continue
        name = key.removeprefix("explained/")
        real, chance = values[f"explained_real/{name}"], values[f"explained_chance/{name}"]
        lost = real - share
        if real < _FOLLOWS or lost < max(chance, _LEAST_LOST):
            continue
        # What follows nearly exactly, as a sum does, is broken by less than what is a tendency.
        heavier = max(lost / _LOST, lost / (_UNEXPLAINED * max(1 - real, _EXACT)))
        if heavier > weight:
            worst, weight = name, heavier
    if worst:
        others = (
            key.removeprefix(f"explained_by/{worst}/") for key in values if key.startswith(f"explained_by/{worst}/")
        )
        told = [f"{100 * max(values[f'{key}/{worst}'], 0.0):.3g} %" for key in ("explained", "explained_real")]
        yield Fault(
            FaultKind.TOGETHER,
            f"The columns {worst!r} and {next(others, 'others')!r} hang together otherwise: trees that learnt "
            f"{worst!r} from the other columns of real rows explain {told[0]} of it in the samples, and {told[1]} in "
            "real rows that they have not seen.",
        )


def _together(values: Mapping[str, float]) -> Iterator[Fault]:
    error = values.get("correlation_error_matched", values.get("correlation_error"))
    real = values.get("correlation_error_real", 0.0)
    if error is not None and error > max(_CORRELATION, 2 * real):
        beside = f" (of real rows {real:.2g})" if real else ""
        said = f"The columns hang together otherwise: their correlations are off by {error:.2g}{beside}."
        yield Fault(FaultKind.TOGETHER, said)


def _use(values: Mapping[str, float]) -> Iterator[Fault]:
    for key, name in (("auc", "an AUC"), ("r2", "an R2")):
        synthetic, real = values.get(f"tstr_{key}"), values.get(f"trtr_{key}")
        if synthetic is None or real is None:
            continue
        # Of few held-out rows the number is chance: the interval says how much.
        if synthetic < real - _USE:
            certain = values.get(f"tstr_{key}_high", synthetic) < real
            told = [_with_interval(values, part) for part in (f"tstr_{key}", f"trtr_{key}")]
            yield Fault(
                FaultKind.USE,
                f"A model that learnt from samples has {name} of {told[0]} on real rows, one that learnt from real "
                f"rows {told[1]}.",
                certain,
            )


def _with_interval(values: Mapping[str, float], key: str) -> str:
    """A number with its interval, where one is stored."""
    ends = [values.get(f"{key}{end}") for end in ("_low", "_high")]
    return f"{values[key]:.3f}" + ("" if None in ends else f" [{ends[0]:.2f}, {ends[1]:.2f}]")
