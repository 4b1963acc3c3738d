"""Writes docs/claims.md and its pictures from the checks: run it when a claim changes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from otgen.claims import CLAIMS, Cited, Finding, Paper, verify
from otgen.claims.page import heading, plot

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "images" / "claims"
INSTANCES, SEED = 1000, 0


def main() -> int:
    """Check every claim and write the page; 1 where a verdict is not as recorded."""
    findings = []
    for finding in verify(CLAIMS, n=INSTANCES, seed=SEED):
        print(finding.claim.key, finding.verdict, flush=True)
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
        f"`otgen verify` checks {len(findings)} claims: theorems of the papers, and closed forms of our own.",
        "Each is tried on random instances, both sides of it computed. The numbers here are those of",
        f"`otgen verify --n {INSTANCES} --seed {SEED}`. A plot has what is bounded over its bound, so",
        "that a claim holds where all points lie below the diagonal. What is false as printed is listed with",
        "counter-examples in the [errata](errata.md).",
        "",
        "| claim | | verdict | worst |",
        "| --- | --- | --- | --- |",
    )
    for finding in findings:
        claim = finding.claim
        link = f"[{claim.key}](#{_anchor(finding)})"
        yield f"| {link} | {claim.paper.authors}, {_text(claim.where)} | {finding.verdict} | {_text(finding.worst)} |"
    for paper in Paper:
        own = [finding for finding in findings if finding.claim.paper is paper]
        if own:
            yield from ("", f"## {paper.authors[0].upper()}{paper.authors[1:]}")
            for finding in own:
                yield from _section(finding)


def _section(finding: Finding) -> Iterator[str]:
    claim = finding.claim
    yield from ("", f"({_anchor(finding)})=", f"### {_text(heading(claim))}", "", _text(claim.statement), "")
    if claim.conditions:
        yield from (f"Conditions: {_text(claim.conditions)}", "")
    verdict = f"{finding.verdict[0].upper()}{finding.verdict[1:]}"
    yield f"**{verdict}.** {_text(claim.corrected)}".rstrip()
    yield ""
    for relation in finding.relations:
        if isinstance(relation, Cited):
            yield f"- {_text(relation.found)} (`{relation.source}`)"
        else:
            yield f"- {relation.part}: {_text(relation.label)}: {relation.standing}, {_text(relation.text)}"
    picture = plot(finding)
    if picture is not None:
        name = f"{claim.key.lower()}.png"
        (PICTURES / name).write_bytes(picture)
        yield from ("", f"![{claim.key}: both sides](images/claims/{name})")


def _text(plain: str) -> str:
    """Plain text as Markdown: no character of it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>$|#])", r"\\\1", plain)


def _anchor(finding: Finding) -> str:
    return f"claim-{finding.claim.key.lower()}"


if __name__ == "__main__":
    sys.exit(main())
