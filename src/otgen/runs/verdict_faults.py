"""What is wrong with samples, as far as the stored numbers of an evaluation show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otgen.runs.verdict_copies import copies
from otgen.runs.verdict_distance import has_no_detail, is_glaring, is_off, nearest_key, short
from otgen.runs.verdict_kinds import Fault, FaultKind
from otgen.runs.verdict_tables import table_faults
from otgen.train import worst_class

# Below this share of a mode's own spread samples count as lying on points, above the other one as too wide.
_NARROW, _WIDE = 0.5, 1.2
# With less than this part of the share of real samples near modes, samples count as lying between them.
_CLEAR = 0.8
# A class, or a mode, with less than this part of an even share counts as missing or nearly so.
_RARE = 0.2
# A label whose distance is this many times the median of the labels' is made worse than the others.
_WORSE = 1.5
_DISTANCES = {
    "frechet": "Fréchet distance",
    "sliced_w1": "sliced Wasserstein distance",
    "w1_matched": "Wasserstein distance",
}
# Numbers of classes of the shipped classifiers.
_CLASSES = 10
# Relative difference of a distance from that of real samples that is not put down to chance.
CHANCE = 0.1
# Spread, relative to the data's, below which samples are blurred, and collapsed.
_BLURRED, _COLLAPSED = 0.9, 0.5
# Below this part of the recall or the coverage of real samples a person sees that samples are alike.
_FEW_KINDS = 0.2
# Differences of neighbouring pixels, relative to those of real images, beyond which images are blurred, or noisy.
_SMOOTH, _ROUGH = 0.8, 1.25
# Below this part of that of real samples a share of samples near data, or of data near samples, is low.
_LOW = 0.5
# With less than this part of their precision, samples that reach few of the data are off, and not collapsed.
_GOOD = 0.75
# How much more alike pairs of samples may be than pairs of real ones, in SSIM.
_ALIKE = 0.1
# Rows are judged in their own columns: their codes, as a network makes them, lie between those of categories, where no
# data do.
_OF_TABLES = ("marginal_ks", "marginal_tv", "detection_auc")
_OF_CODES = ("precision", "recall", "coverage", "w1_matched", "spread", "detail")


def faults(values: Mapping[str, float], held_out: int | None = None) -> list[Fault]:
    """What is wrong for certain, what weighs most first, each kind once.

    Args:
        values: metric name to number; nothing is said of metrics that are missing.
        held_out: number of held-out samples; None if it is not known.
    """
    return [fault for fault in _ordered(values, held_out) if fault.certain]


def undecided(values: Mapping[str, float], held_out: int | None = None) -> list[Fault]:
    """What may be wrong, and there are too few held-out samples to tell; the arguments are those of :func:`faults`."""
    return [fault for fault in _ordered(values, held_out) if not fault.certain]


def _ordered(values: Mapping[str, float], held_out: int | None) -> list[Fault]:
    """All faults, each kind once: one that is certain before one that is not."""
    checks = (_collapse, _modes, _classes, _labels, _blur, _noise, _between, table_faults)
    if any(key in values for key in _OF_TABLES):
        codes = {f"{code}{end}" for code in _OF_CODES for end in ("", "_matched", "_real")}
        values = {key: value for key, value in values.items() if key not in codes}
    found: dict[FaultKind, Fault] = {}
    each = [*copies(values, held_out), *(fault for check in checks for fault in check(values))]
    for fault in sorted(each, key=lambda fault: not fault.certain):
        found.setdefault(fault.kind, fault)
    blurred = has_no_detail(values) or (values.get("detail", 1.0) < _SMOOTH and any(_nearer_than_real(values)))
    if FaultKind.COLLAPSE in found and found[FaultKind.COLLAPSE].certain and not blurred:
        # Samples of a few kinds spread less than data: that is no blur.
        found.pop(FaultKind.BLUR, None)
    order = list(FaultKind)
    if "modes_high_quality" in values:
        # What lies between modes says nothing of their shapes.
        order.remove(FaultKind.BETWEEN)
        order.insert(order.index(FaultKind.POINTS), FaultKind.BETWEEN)
    if blurred or is_glaring(values.get("detail", 1.0)):
        # Nothing else of such images can be told: not their class, nor their kinds, nor whether they are copies.
        seen_first = [FaultKind.BLUR, FaultKind.NOISE]
        order = seen_first + [kind for kind in order if kind not in seen_first]
    return [found[kind] for kind in order if kind in found]


def _collapse(values: Mapping[str, float]) -> Iterator[Fault]:
    near = _part_of_real(values, "precision")
    for key, said in (
        ("coverage", "near a part of the data only"),
        ("recall", "of a part of the kinds that the data have only"),
    ):
        part = _part_of_real(values, key)
        if part is not None and part < _LOW and (near is None or near >= _GOOD):
            kind = FaultKind.COLLAPSE if part < _FEW_KINDS else FaultKind.VARIETY
            text = f"{kind.capitalize()}: the samples are {said} ({_beside_real(values, key)})."
            yield Fault(kind, text, _is_less(values, key))
    alike, real = values.get("pair_ssim"), values.get("pair_ssim_real")
    if alike is not None and real is not None and alike > real + _ALIKE:
        told = f"SSIM {alike:.2g}, of real ones {real:.2g}"
        yield Fault(FaultKind.COLLAPSE, f"Collapse: pairs of samples are too much alike ({told}).")
    spread = _spread(values)
    if spread is not None and spread < _COLLAPSED:
        yield Fault(FaultKind.COLLAPSE, f"Collapse: the samples spread {spread:.2g} times as far as the data.")


def _modes(values: Mapping[str, float]) -> Iterator[Fault]:
    found, modes = values.get("modes_found"), values.get("modes_total")
    if found is not None and modes is not None and found < modes:
        said = f"Modes are missing: no sample lies near {modes - found:.0f} of {modes:.0f}."
        yield Fault(FaultKind.MODES, said)
    share = values.get("modes_share_min")
    if found is not None and found == modes and share is not None and share < _RARE:
        said = f"A mode is nearly missing: it has {share:.2g} times its share of the samples."
        yield Fault(FaultKind.MODES, said)
    spread = values.get("modes_spread")
    if spread is not None and spread < _NARROW:
        yield Fault(
            FaultKind.POINTS,
            f"The samples lie on points: around a mode they spread {spread:.2g} times as far as the mixture does, so "
            "that they show where the modes are and not their shape.",
        )


def _classes(values: Mapping[str, float]) -> Iterator[Fault]:
    share = values.get("classes_share_min")
    if share is not None and share < _RARE / _CLASSES:
        rare = "no sample is" if share == 0 else f"{100 * share:.2g} % of the samples are"
        yield Fault(
            FaultKind.CLASSES,
            f"A class is missing or nearly so: {rare} of the rarest one; even shares are {100 / _CLASSES:.0f} %.",
        )


def _labels(values: Mapping[str, float]) -> Iterator[Fault]:
    told, real = values.get("label_accuracy"), values.get("label_accuracy_real")
    if told is not None and real is not None and told < (1 - CHANCE) * real:
        parts = (f"{100 * told:.0f} %", f"{100 * real:.0f} %")
        said = f"Labels: {parts[0]} of the samples are recognised as the label asked for, and {parts[1]} of real ones."
        yield Fault(FaultKind.LABELS, said)
    worst = worst_class(values)
    if worst is not None and worst.value > _WORSE * worst.median:
        distance = f"{_DISTANCES[worst.key]} is {worst.value:.2g} times that of its real samples"
        said = f"Label {worst.name!r} is made worst: its {distance}, the median of the labels {worst.median:.2g} times."
        yield Fault(FaultKind.LABELS, said)


def _blur(values: Mapping[str, float]) -> Iterator[Fault]:
    found, parts = [], list[str]()
    wide = values.get("modes_spread")
    if wide is not None and wide > _WIDE:
        found.append(f"The samples blur the modes: near a mode they spread {wide:.2g} times as far as the mixture does")
    detail = values.get("detail")
    if detail is not None and detail < _SMOOTH:
        parts.append(f"squared differences of neighbouring pixels are {short(detail)} times those of real images")
    spread = _spread(values)
    if spread is not None and spread < _BLURRED:
        parts.append(f"the samples spread {short(spread)} times as far as the data")
    found += [f"Blur: {', and '.join(parts)}"] if parts else []
    found += _nearer_than_real(values)
    if found:
        yield Fault(FaultKind.BLUR, f"{'. '.join(found)}.")


def _nearer_than_real(values: Mapping[str, float]) -> Iterator[str]:
    distance, real = values.get("w1_matched"), values.get("w1_real")
    if distance is None or real is None:
        return
    if distance < (1 - CHANCE) * real and values.get("w1_matched_high", distance) < real:
        yield (
            f"The Wasserstein distance, {distance:.3g}, is below that between two sets of real samples, {real:.3g}. "
            "That is no sign of quality: averages of data (too smooth, or on the centres of modes) and copies of data "
            "lie nearer to the data than fresh data do"
        )


def _noise(values: Mapping[str, float]) -> Iterator[Fault]:
    detail, spread = values.get("detail"), _spread(values)
    if detail is not None and detail > _ROUGH:
        said = f"Noise: squared differences of neighbouring pixels are {short(detail)} times those of real images."
        yield Fault(FaultKind.NOISE, said)
    if spread is not None and spread > _WIDE:
        yield Fault(FaultKind.NOISE, f"Too wide: the samples spread {short(spread)} times as far as the data.")


def _between(values: Mapping[str, float]) -> Iterator[Fault]:
    good, real = values.get("modes_high_quality"), values.get("modes_high_quality_real")
    if good is not None and real is not None and good < _CLEAR * real:
        yield Fault(
            FaultKind.BETWEEN,
            f"Samples lie between the modes: {100 * good:.2g} % are near one, and {100 * real:.2g} % of real ones.",
        )
    near = _part_of_real(values, "precision")
    if near is not None and near < _LOW:
        said = f"Few samples lie where data do ({_beside_real(values, 'precision')})."
        yield Fault(FaultKind.BETWEEN, said, _is_less(values, "precision"))
    if is_off(values):
        ratio = (
            f"{short(values[nearest_key(values) or ''])} times as far from the nearest training sample as real ones do"
        )
        yield Fault(FaultKind.BETWEEN, f"Off the data: the samples lie {ratio}.")


def _spread(values: Mapping[str, float]) -> float | None:
    """The spread relative to the data's; that of the columns of a table, where there is one."""
    return values.get("spread_ratio", values.get("spread"))


def _beside_real(values: Mapping[str, float], key: str) -> str:
    """A share and that of real samples, in words."""
    return f"{key} {values[_as_many(values, key)]:.2g}, of real ones {values[f'{key}_real']:.2g}"


def _as_many(values: Mapping[str, float], key: str) -> str:
    """The key of a share of as many samples as are held out, which compares with that of real ones."""
    return f"{key}_matched" if f"{key}_matched" in values else key


def _part_of_real(values: Mapping[str, float], key: str) -> float | None:
    """A share relative to that of real samples; None if one is not known, or real samples have none."""
    value, real = values.get(_as_many(values, key)), values.get(f"{key}_real")
    return None if value is None or not real else value / real


def _is_less(values: Mapping[str, float], key: str) -> bool:
    """Whether a share is below that of real samples by more than their intervals."""
    own, real = _as_many(values, key), f"{key}_real"
    return values.get(f"{own}_high", values[own]) < values.get(f"{real}_low", values[real])
