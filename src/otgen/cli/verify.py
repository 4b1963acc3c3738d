"""`otgen verify`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otgen import files
from otgen.cli.usage import Parser, UsageError
from otgen.errors import suggestion

if TYPE_CHECKING:
    from otgen.claims import Finding, Theorem

EXIT_DIFFERS = 1
# Fewer instances do not find how tight a bound is, whatever the seed.
_LEAST = 200
# Seeds of a PyTorch generator.
_SEEDS = 2**63


def run(arguments: Sequence[str]) -> int:
    """Check the papers' claims, a line each."""
    from otgen.claims import THEOREMS, verify

    parser = Parser(
        prog="otgen verify",
        description="Check what the papers claim: each theorem on random instances, both sides of it computed, and "
        "the worst ratio found; what is claimed of long training runs is quoted from their reports. A claim that is "
        f"named is shown whole. Exit code {EXIT_DIFFERS} where a verdict is not the recorded one.",
    )
    parser.add_argument("claims", nargs="*", type=str, help="keys, such as S7 or B1; all where none is named")
    of_paper = f"of one paper, by code or author: {_papers()}"
    parser.add_argument("--paper", type=str | None, default=None, help=of_paper)
    parser.add_argument("--n", type=int, default=1000, help=f"random instances of each claim, about; at least {_LEAST}")
    parser.add_argument("--seed", type=int, default=0, help="of the instances")
    parser.add_argument("--html", type=str | None, default=None, help="write a page with plots to this file")
    parser.add_argument("--list", action="store_true", help="only say which claims there are")
    parsed = parser.parse_args(arguments)
    chosen = _chosen(THEOREMS, list(parsed.claims or ()), parsed.paper)
    if parsed.list:
        for claim in chosen:
            print(f"{claim.key:<5} {claim.recorded:<22} {claim.paper.authors}, {claim.where}")
        return 0
    if parsed.n < _LEAST:
        raise UsageError(f"--n must be at least {_LEAST}: fewer instances come near no bound; got {parsed.n}")
    if not 0 <= parsed.seed < _SEEDS:
        raise UsageError(f"--seed must be at least 0 and below 2^63, got {parsed.seed}")
    page = None if parsed.html is None else _page_path(Path(parsed.html))
    findings = []
    for number, finding in enumerate(verify(chosen, n=parsed.n, seed=parsed.seed), 1):
        findings.append(finding)
        _show(finding, f"{number:{len(str(len(chosen)))}}/{len(chosen)}", in_full=bool(parsed.claims))
    if page is not None:
        from otgen.claims.page import html_page

        print(f"Page: {files.write(page, html_page(findings, n=parsed.n, seed=parsed.seed))}")
    return _conclude(findings)


def _page_path(path: Path) -> Path:
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--html needs a file in an existing directory, got {str(path)!r}")
    try:
        # Known before the checks have run, not after.
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise UsageError(f"--html cannot write to {path.parent}: {error.strerror}") from error


def _chosen(claims: Sequence[Theorem], names: Sequence[str], paper: str | None) -> Sequence[Theorem]:
    from otgen.claims import Paper

    everywhere = {claim.key.lower(): claim for claim in claims}
    if paper is not None:
        # Both versions of the first paper go by one code; ``houdard`` stands for Houdard et al. 2021.
        known = {"001": Paper.SANJABI}
        for one in Paper:
            known |= {one.value: one, one.authors.lower().split(" ")[0]: one}
        given = paper.lower().split(" ")[0]
        if given not in known:
            raise UsageError(f"there is no paper {paper!r}; give a code or the first author, of {_papers()}")
        claims = [claim for claim in claims if claim.paper is known[given]]
    if not names:
        return claims
    by_key = {claim.key.lower(): claim for claim in claims}
    for name in names:
        if name.lower() in by_key:
            continue
        if name.lower() in everywhere:
            of = everywhere[name.lower()].paper
            raise UsageError(f"claim {name!r} is of paper {of.value} ({of.authors}), not of {paper}; leave --paper out")
        near = suggestion(name, [claim.key for claim in claims])
        raise UsageError(f"there is no claim {name!r}{near} (otgen verify --list lists them)")
    return [by_key[name] for name in dict.fromkeys(name.lower() for name in names)]


def _papers() -> str:
    from otgen.claims import Paper

    return ", ".join(f"{paper.value} ({paper.authors})" for paper in Paper)


def _show(finding: Finding, number: str, *, in_full: bool) -> None:
    claim = finding.theorem
    differs = "" if finding.as_recorded else f"  NOT AS RECORDED, which is: {claim.recorded}"
    print(
        f"{number}  {claim.key:<5} {finding.status:<22} {finding.worst}; "
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
        print(f"    {relation.part}: {relation.label}: {relation.standing}, {relation.detail}")
    print()


def _conclude(findings: Sequence[Finding]) -> int:
    differing = [finding.theorem.key for finding in findings if not finding.as_recorded]
    seconds = sum(finding.seconds for finding in findings)
    computed = sum(finding.computed for finding in findings)
    quoted = f", {len(findings) - computed} quoted from runs" if computed < len(findings) else ""
    count = f"{len(findings)} claim{'s' * (len(findings) != 1)}, {computed} computed{quoted}, {seconds:.0f} s"
    if differing:
        print(f"{count}: not as recorded: {', '.join(differing)}")
        return EXIT_DIFFERS
    print(f"{count}: all verdicts as recorded")
    return 0
