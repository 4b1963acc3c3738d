"""All claims as one page: statement, status, the numbers behind it, and for theorems a plot of bound against truth."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from otgen.papers.claim import Finding, Paper
from otgen.papers.relations import AtMost, Part, Relation, Slope, TwoSided

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {Part.PRINTED: "#4269d0", Part.CORRECTED: "#3ca951", Part.OUTSIDE: "#e07b39"}
# More points than this hide each other and fatten the file.
_POINTS = 400

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>What the papers claim, checked</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }</style>
</head><body>
<h1>What the papers claim, checked</h1>
"""
_STYLE = """<style>
.claim { border-top: 1px solid #8886; padding: .8rem 0; display: flex; gap: 1.5rem; flex-wrap: wrap }
.claim > div { flex: 1 1 26rem } .claim img { width: 20rem; height: auto; align-self: start } .claim h3 { margin: 0 }
.claim p { margin: .4rem 0 } .claims td, .claims th { text-align: left; padding: .1rem .8rem .1rem 0 }
.differs { color: #b00; font-weight: bold }
</style>
"""


def html_page(findings: Sequence[Finding], *, n: int, seed: int) -> str:
    """A page of its own, pictures included.

    Args:
        findings: what was found.
        n: instances that were asked for.
        seed: of the instances.
    """
    return f"{_HEAD}{html_sections(findings, n=n, seed=seed)}</body></html>\n"


def html_sections(findings: Sequence[Finding], *, n: int, seed: int) -> str:
    """The body of the page, to stand in another one: a table of all claims, then a section each.

    Args:
        findings: what was found.
        n: instances that were asked for.
        seed: of the instances.
    """
    differing = [finding.claim.key for finding in findings if not finding.as_recorded]
    recorded = f"Not as recorded: {', '.join(differing)}." if differing else "All theorems are as recorded."
    rows = "".join(
        f'<tr><td><a href="#{_anchor(f)}">{escape(f.claim.key)}</a></td><td>{f.claim.paper.citation}, '
        f"{escape(f.claim.where)}</td><td>{f.status}</td><td>{escape(f.summary)}</td></tr>"
        for f in findings
    )
    parts = [
        _STYLE,
        f"<p>{len(findings)} claims; theorems on about {n:,} random instances each (seed {seed}), claims on figures by "
        f"the runs that are filed. {escape(recorded)}</p>",
        f'<table class="claims"><tr><th>claim</th><th>where</th><th>status</th><th>by</th></tr>{rows}</table>',
    ]
    for paper in Paper:
        own = [finding for finding in findings if finding.claim.paper is paper]
        parts += [f"<h2>{paper.citation}</h2>", *map(_section, own)] if own else []
    return "\n".join(parts)


def _section(finding: Finding) -> str:
    claim = finding.claim
    differs = "" if finding.as_recorded else ' <span class="differs">not as recorded</span>'
    lines = [
        f"<h3>{escape(claim.key)}: {escape(claim.where)}</h3>",
        f"<p>{escape(claim.statement)}</p>",
        f"<p>Conditions: {escape(claim.conditions)}</p>" if claim.conditions else "",
        f"<p><b>{finding.status}</b>{differs}</p>",
        f"<p>Correctly: {escape(claim.corrected)}</p>" if claim.corrected else "",
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in finding.evidence)}</ul>",
    ]
    picture, image = plot(finding), ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        image = f'<img alt="{escape(claim.key)}: left side over right side" src="data:image/png;base64,{data}">'
    return f'<section class="claim" id="{_anchor(finding)}"><div>{"".join(lines)}</div>{image}</section>'


def _anchor(finding: Finding) -> str:
    return f"claim-{finding.claim.key.lower()}"


def plot(finding: Finding) -> bytes | None:
    """The principal relation of each part, as a small PNG; None where there is nothing to draw."""
    from matplotlib.figure import Figure

    drawn: dict[Part, Relation] = {}
    for relation in finding.relations:
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
    elif isinstance(relation, TwoSided):
        step = -(-len(relation.left) // _POINTS)
        axes.plot(relation.right[::step], relation.left[::step], ".", color=colour, ms=3, label=label)


def _finish_sides(axes: Axes, relations: Sequence[Relation]) -> None:
    """The diagonal, and scales on which every point is seen."""
    sides = [relation for relation in relations if isinstance(relation, TwoSided)]
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
