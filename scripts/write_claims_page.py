"""Writes docs/claims.md and its pictures from the checks: run it when a claim changes."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from otgen.claims import THEOREMS, Cited, Finding, Paper, verify
from otgen.claims.page import heading, plot

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "images" / "claims"
INSTANCES, SEED = 1000, 0


def main() -> int:
    """Check every claim and write the page; 1 where a verdict is not as recorded."""
    findings = []
    for finding in verify(THEOREMS, n=INSTANCES, seed=SEED):
        print(finding.theorem.key, finding.status, flush=True)
        findings.append(finding)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    (DOCS / "claims.md").write_text("\n".join(_page(findings)) + "\n", encoding="utf-8")
    return 0 if all(finding.as_recorded for finding in findings) else 1


def _page(findings: list[Finding]) -> Iterator[str]:
    yield from (
        "# What the papers claim",
        "",
        "<!-- Written by scripts/write_claims_page.py from the checks; do not edit. -->",
        "",
        *_about(findings),
        "| claim | | verdict | worst |",
        "| --- | --- | --- | --- |",
    )
    for finding in findings:
        claim = finding.theorem
        link = f"[{claim.key}](#{_anchor(finding)})"
        yield f"| {link} | {claim.paper.authors}, {_text(claim.where)} | {finding.status} | {_text(finding.worst)} |"
    for paper in Paper:
        own = [finding for finding in findings if finding.theorem.paper is paper]
        if own:
            yield from ("", f"## {paper.authors[0].upper()}{paper.authors[1:]}")
            for finding in own:
                yield from _section(finding)


def _about(findings: list[Finding]) -> Iterator[str]:
    """What the page is, and how to read its numbers, its plots and its letters."""
    computed = sum(finding.computed for finding in findings)
    for paragraph in (
        f"`otgen verify` goes through {len(findings)} claims: theorems of the papers, closed forms of our own, and "
        f"what the papers saw in their experiments. {computed} of them are tried on random instances, both sides "
        f"computed; for the other {len(findings) - computed} the reports of our own runs are quoted. The numbers are "
        f"those of `otgen verify --n {INSTANCES} --seed {SEED}`. What is false as printed has a counter-example to "
        "run in the [errata](errata.md).",
        "Each line below a verdict names two sides. *Ratio* is the largest left side over right side of all "
        "instances: a bound holds where it is at most 1, and a ratio near 1 says that the bound is sharp; inf is a "
        "bound of 0 that was exceeded. *Error* is the largest difference of two sides that should be equal, relative "
        "to the right one or to a scale of the problem. *Slope* is that of a line through logarithms, with its "
        "interval of 95 %. A plot has the first line of each colour, left side over right side: a bound holds below "
        "the diagonal, an equality on it; a slope has its points and the fitted line.",
        "Letters are the papers': `p`, `q` are laws, `c` the cost, `eps` the regularisation weight, `eps'` the "
        "distance of a dual value from the best, `phi`, `psi` the papers' potentials and `f`, `g` ours, [with plus "
        "signs](notation.md), `d` the regularised value and `d_c` the exact one, `I` the regulariser, `m` the "
        "density of a plan, `theta` the generator's parameters, `S` the Sinkhorn divergence, `W` a transport value, "
        "`L_F` a Lipschitz constant of the dual's gradient.",
    ):
        yield from textwrap.wrap(paragraph, 120, break_on_hyphens=False)
        yield ""


def _section(finding: Finding) -> Iterator[str]:
    claim = finding.theorem
    yield from ("", f"({_anchor(finding)})=", f"### {_text(heading(claim))}", "", _text(claim.statement), "")
    if claim.conditions:
        yield from (f"Conditions: {_text(claim.conditions)}", "")
    verdict = f"{finding.status[0].upper()}{finding.status[1:]}"
    yield f"**{verdict}.** {_text(claim.corrected)}".rstrip()
    yield ""
    for relation in finding.relations:
        if isinstance(relation, Cited):
            yield f"- {_text(relation.found)} (`{relation.source}`)"
        else:
            yield f"- {relation.part}: {_text(relation.label)}: {relation.standing}, {_text(relation.detail)}"
    picture = plot(finding)
    if picture is not None:
        name = f"{claim.key.lower()}.png"
        (PICTURES / name).write_bytes(picture)
        yield from (
            "",
            f"![{claim.key}, {_text(heading(claim))}: what was found, left side over right side](images/claims/{name})",
        )


def _text(plain: str) -> str:
    """Plain text as Markdown: no character of it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>$|#^~])", r"\\\1", plain)


def _anchor(finding: Finding) -> str:
    return f"claim-{finding.theorem.key.lower()}"


if __name__ == "__main__":
    sys.exit(main())
