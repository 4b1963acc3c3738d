"""`otgen verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otgen.cli.usage import Parser, UsageError, parse, whole

if TYPE_CHECKING:
    from otgen.claims import Claim, Finding

EXIT_DIFFERS = 1
# Fewer instances do not find how tight a bound is.
_LEAST = 60


def run(arguments: Sequence[str]) -> int:
    """Check the papers' claims, a line each."""
    from otgen.claims import CLAIMS, Paper, verify

    parser = Parser(
        prog="otgen verify",
        description="Check what the papers claim: each theorem on random instances, both sides of it computed, and "
        "the worst ratio found. A claim that is named is shown whole. Exit code "
        f"{EXIT_DIFFERS} where a verdict is not the recorded one.",
    )
    parser.add_argument("claims", nargs="*", type=str, help="keys, such as S7 or B1; all where none is named")
    papers = ", ".join(f"{paper.value} ({paper.authors})" for paper in Paper)
    parser.add_argument("--paper", type=str | None, default=None, help=f"those of one paper: {papers}")
    parser.add_argument("--n", type=int, default=1000, help="about how many random instances of each claim")
    parser.add_argument("--seed", type=int, default=0, help="of the instances")
    parser.add_argument("--html", type=str | None, default=None, help="write a page with plots to this file")
    parsed = parse(parser, arguments)
    if parsed.n < _LEAST or parsed.seed < 0:
        raise UsageError(
            f"--n must be at least {_LEAST}, fewer instances come near no bound, and --seed not negative; "
            f"got {parsed.n} and {parsed.seed}"
        )
    page = None if parsed.html is None else _page_path(Path(parsed.html))
    chosen = _chosen(CLAIMS, list(parsed.claims or ()), parsed.paper)
    findings = []
    for number, finding in enumerate(verify(chosen, n=parsed.n, seed=parsed.seed), 1):
        findings.append(finding)
        _show(finding, f"{number:{len(str(len(chosen)))}}/{len(chosen)}", in_full=bool(parsed.claims))
    if page is not None:
        from otgen.claims.page import html_page

        with whole(page) as file:
            file.write(html_page(findings, n=parsed.n, seed=parsed.seed).encode())
        print(f"Page: {page}")
    return _conclude(findings)


def _page_path(path: Path) -> Path:
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--html needs a file in an existing directory, got {path}")
    return path


def _chosen(claims: Sequence[Claim], names: Sequence[str], paper: str | None) -> Sequence[Claim]:
    from otgen.claims import Paper
    from otgen.train.parsing import suggestion

    if paper is not None:
        # Both versions of the first paper go by one key.
        code = {"001": "000"}.get(paper, paper)
        if code not in set(Paper):
            raise UsageError(f"there is no paper {paper!r}; it must be one of {', '.join(Paper)}")
        claims = [claim for claim in claims if claim.paper == code]
    if not names:
        return claims
    by_key = {claim.key.lower(): claim for claim in claims}
    for name in names:
        if name.lower() not in by_key:
            near = suggestion(name, [claim.key for claim in claims])
            raise UsageError(f"there is no claim {name!r}{near} (otgen verify lists them)")
    return [by_key[name.lower()] for name in names]


def _show(finding: Finding, number: str, *, in_full: bool) -> None:
    claim = finding.claim
    differs = "" if finding.as_recorded else f"  NOT AS RECORDED, which is: {claim.recorded}"
    print(
        f"{number}  {claim.key:<5} {finding.verdict:<22} {finding.worst}; "
        f"{finding.instances:,} instances, {finding.seconds:.1f} s{differs}",
        flush=True,
    )
    if not in_full:
        return
    about = {
        "stands in": f"{claim.paper.authors}, {claim.where}",
        "claims": claim.statement,
        "needs": claim.conditions,
        "correctly": claim.corrected,
    }
    for label, text in about.items():
        if text:
            print(f"    {label + ':':<11} {text}")
    for relation in finding.relations:
        print(f"    {relation.part}: {relation.label}: {relation.standing}, {relation.text}")
    print()


def _conclude(findings: Sequence[Finding]) -> int:
    differing = [finding.claim.key for finding in findings if not finding.as_recorded]
    seconds = sum(finding.seconds for finding in findings)
    count = f"{len(findings)} claims, {seconds:.0f} s"
    if differing:
        print(f"{count}: not as recorded: {', '.join(differing)}")
        return EXIT_DIFFERS
    print(f"{count}: all verdicts as recorded")
    return 0
