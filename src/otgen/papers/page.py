"""The claims as a page: statement, verdict, the worst number found, and a plot of bound against truth."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from otgen.claims.base import Paper, Theorem
from otgen.claims.verify import Finding
from otgen.papers.relations import AtMost, Cited, Equal, Part, Relation, Slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {Part.PRINTED: "#4269d0", Part.CORRECTED: "#3ca951", Part.OUTSIDE: "#e07b39"}
# More points than this hide each other and fatten the file.
_POINTS = 400

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the papers claim, checked</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
section {{ border-top: 1px solid #ddd; padding: .8rem 0; display: flex; gap: 1.5rem; flex-wrap: wrap }}
section > div {{ flex: 1 1 26rem }} img {{ width: 20rem; height: auto }} h3 {{ margin: 0 }} p {{ margin: .4rem 0 }}
td, th {{ text-align: left; padding: .1rem .8rem .1rem 0 }} .differs {{ color: #b00; font-weight: bold }}
small {{ color: #666 }}
</style></head><body>
<h1>What the papers claim, checked</h1>
<p>{count} claims, about {n:,} random instances each (seed {seed}), checked in {seconds:.0f} s; what is claimed of
long runs is quoted from their reports. {summary}</p>
<p>Ratio: the largest left side over right side; a bound holds where it is at most 1. Error: the largest relative
difference of two sides that should be equal. Slope: of a line through logarithms, with its 95 % interval.</p>
"""


def html_page(findings: Sequence[Finding], *, n: int, seed: int) -> str:
    """A page of its own, pictures included.

    Args:
        findings: what the checks found.
        n: instances that were asked for.
        seed: of the instances.
    """
    differing = [finding.theorem.key for finding in findings if not finding.as_recorded]
    summary = f"Not as recorded: {', '.join(differing)}." if differing else "All verdicts are as recorded."
    seconds = sum(finding.seconds for finding in findings)
    parts = [_HEAD.format(count=len(findings), n=n, seed=seed, seconds=seconds, summary=escape(summary))]
    for paper in Paper:
        own = [finding for finding in findings if finding.theorem.paper is paper]
        if own:
            parts.append(f"<h2>{escape(paper.authors)}</h2>")
            parts.extend(_section(finding) for finding in own)
    return "\n".join([*parts, "</body></html>\n"])


def _section(finding: Finding) -> str:
    theorem = finding.theorem
    lines = [f"<h3>{escape(heading(theorem))}</h3>", f"<p>{escape(theorem.statement)}</p>"]
    if theorem.conditions:
        lines.append(f"<p>Conditions: {escape(theorem.conditions)}</p>")
    mark = "" if finding.as_recorded else f' <span class="differs">not as recorded ({theorem.recorded})</span>'
    lines.append(f"<p><b>{finding.status}</b>{mark}</p>")
    if theorem.corrected:
        lines.append(f"<p>Correctly: {escape(theorem.corrected)}</p>")
    rows = "".join(
        f"<tr><td>{relation.part}</td><td>{escape(relation.label)}</td><td>{relation.standing}</td>"
        f"<td>{escape(relation.found if isinstance(relation, Cited) else relation.detail)}</td></tr>"
        for relation in finding.relations
    )
    if finding.trouble:
        lines.append(f"<p>{escape(finding.trouble)}</p>")
    lines.append(f"<table>{rows}</table><small>{finding.instances:,} instances, {finding.seconds:.1f} s</small>")
    picture = plot(finding)
    image = ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        image = f'<img alt="{escape(theorem.key)}: left side over right side" src="data:image/png;base64,{data}">'
    return f'<section id="{escape(theorem.key)}"><div>{"".join(lines)}</div>{image}</section>'


def heading(theorem: Theorem) -> str:
    """``S7: Theorem 4.1``."""
    return f"{theorem.key}: {theorem.where}"


def plot(finding: Finding) -> bytes | None:
    """The principal relation of each part, as a small PNG; None where there is nothing to draw."""
    from matplotlib.figure import Figure

    drawn: dict[Part, Relation] = {}
    for relation in finding.relations:
        if not isinstance(relation, Cited):
            drawn.setdefault(relation.part, relation)
    if not drawn:
        return None
    # Slopes have axes of their own, and so has everything where they meet others.
    alike = len({isinstance(relation, Slope) for relation in drawn.values()}) == 1
    shown = list(drawn.values()) if alike else list(drawn.values())[:1]
    figure = Figure(figsize=(4.0, 3.0), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for relation in shown:
        _draw(axes, relation)
    if not isinstance(shown[0], Slope):
        _finish_sides(axes, shown)
    axes.set_title(textwrap.fill(shown[0].label, 60), fontsize=7)
    axes.legend(fontsize=7, loc="best")
    axes.tick_params(which="both", labelsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(7)
    buffer = io.BytesIO()
    # Without the library's version in the file, the same numbers give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Axes, relation: Relation) -> None:
    colour = _COLOURS[relation.part]
    label = f"{relation.part}: {relation.text}"
    if isinstance(relation, Slope):
        x, y = np.asarray(relation.x), np.asarray(relation.y)
        slope, _ = relation.fit
        axes.plot(x, y, ".", color=colour, ms=3, label=label)
        axes.plot(x, y.mean() + slope * (x - x.mean()), color=colour, lw=1)
        return
    assert isinstance(relation, AtMost | Equal)
    step = -(-len(relation.left) // _POINTS)
    axes.plot(relation.right[::step], relation.left[::step], ".", color=colour, ms=3, label=label)


def _finish_sides(axes: Axes, relations: Sequence[Relation]) -> None:
    """The diagonal, and scales on which every point is seen."""
    sides = [relation for relation in relations if isinstance(relation, AtMost | Equal)]
    values = np.concatenate([np.asarray(side) for r in sides for side in (r.left, r.right)])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 10 * low:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.plot([low, high], [low, high], color="#999", lw=0.8, zorder=0)
    bounded = any(isinstance(relation, AtMost) for relation in relations)
    axes.set_xlabel("right side, the bound" if bounded else "right side", fontsize=7)
    axes.set_ylabel("left side", fontsize=7)
