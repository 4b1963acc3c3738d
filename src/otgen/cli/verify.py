"""`otgen verify`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otgen import files
from otgen.cli.printable import printable
from otgen.cli.usage import PlainParser, UsageError
from otgen.errors import RenamedWarning, suggestion, warn

if TYPE_CHECKING:
    from otgen.papers import Claim, Finding

EXIT_DIFFERS = 1
# Fewer instances do not find how tight a bound is, whatever the seed.
_LEAST = 200
# Seeds of a PyTorch generator.
_SEEDS = 2**63
# Claims on runs by the keys that they had while their verdicts were written by hand.
_FORMER = {
    "ae1": "seqsgda.fig4.1",
    "ae2": "seqsgda.fig6.1",
    "ae3": "seqsgda.fig4.3",
    "ae4": "seqsgda.fig11.1",
    "ae5": "seqsgda.fig13.1",
    "ae5b": "seqsgda.fig15.1",
    "ae6": "seqsgda.fig17.1",
    "ae7": "seqsgda.fig19.1",
    "ae8": "seqsgda.fig21.2",
    "ae9": "seqsgda.fig21.1",
    "b6": "seqsgda.fig11.3",
    "d7": "sco.fig3.3",
    "h2": "semidiscrete.fig2",
    **{f"p{number}": f"sco.fig{number}" for number in range(1, 6)},
}


def run(arguments: Sequence[str]) -> int:
    """Check the papers' claims, a line each."""
    parser = PlainParser(
        prog="otgen verify",
        description="Check what the papers claim: each theorem on random instances, both sides of it computed, and "
        "the worst ratio found; each claim on a figure by the runs that are filed with otgen. A claim that is named is "
        f"shown whole. Exit code {EXIT_DIFFERS} where a theorem is not found as recorded.",
    )
    parser.add_argument("claims", nargs="*", help="keys, such as S7, or figures, such as swgan.fig3; or all")
    of_paper = "of one paper: swgan, seqsgda, semidiscrete, sco, or own"
    parser.add_argument("--paper", default=None, help=of_paper)
    parser.add_argument("--n", type=int, default=1000, help=f"random instances of a theorem, about; at least {_LEAST}")
    parser.add_argument("--seed", type=int, default=0, help="of the instances")
    parser.add_argument("--html", default=None, help="write a page with plots to this file")
    parser.add_argument("--list", action="store_true", help="only say which claims there are")
    parsed = parser.parse_args(arguments)
    from otgen.papers import all_claims, verify

    chosen = _chosen(all_claims(), list(parsed.claims or ()), parsed.paper)
    if parsed.list:
        for claim in chosen:
            print(f"{claim.key:<19} {claim.paper.citation}, {claim.where}")
        return 0
    if parsed.n < _LEAST:
        raise UsageError(f"--n must be at least {_LEAST}: fewer instances come near no bound; got {parsed.n}")
    if not 0 <= parsed.seed < _SEEDS:
        raise UsageError(f"--seed must be at least 0 and below 2^63, got {parsed.seed}")
    page = None if parsed.html is None else _page_path(Path(parsed.html))
    findings, began = [], time.perf_counter()
    for number, finding in enumerate(verify(chosen, n=parsed.n, seed=parsed.seed), 1):
        findings.append(finding)
        _show(finding, f"{number:{len(str(len(chosen)))}}/{len(chosen)}", in_full=bool(parsed.claims))
    if page is not None:
        from otgen.papers.claims_page import html_page

        print(f"Page: {printable(files.write(page, html_page(findings, n=parsed.n, seed=parsed.seed)))}")
    return _conclude(findings, time.perf_counter() - began)


def _page_path(path: Path) -> Path:
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--html needs a file in an existing directory, got {str(path)!r}")
    try:
        # Known before the checks have run, not after.
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise UsageError(f"--html cannot write to {path.parent}: {error.strerror}") from error


def _chosen(everything: Sequence[Claim], names: Sequence[str], paper: str | None) -> Sequence[Claim]:
    from otgen.papers import Paper

    of = None if paper is None else Paper.named(paper)
    chosen: dict[str, Claim] = {}
    for name in names:
        key = _present(name.lower())
        # A figure stands for all of its claims.
        meant = [c for c in everything if c.key.lower() == key or c.key.lower().rpartition(".")[0] == key]
        if not meant:
            near = suggestion(name, [claim.key for claim in everything])
            raise UsageError(f"there is no claim {name!r}{near} (otgen verify --list lists them)")
        if of not in (None, meant[0].paper):
            raise UsageError(f"claim {name!r} is of {meant[0].paper} ({meant[0].paper.citation}); leave --paper out")
        chosen |= {claim.key: claim for claim in meant}
    return list(chosen.values()) if names else [claim for claim in everything if of in (None, claim.paper)]


def _present(key: str) -> str:
    if key in _FORMER:
        said = f"the claim {key.upper()} is now {_FORMER[key]}; the former key goes with the next release"
        warn(said, RenamedWarning)
    return _FORMER.get(key, key)


def _show(finding: Finding, number: str, *, in_full: bool) -> None:
    claim = finding.claim
    tried = f"; {finding.instances:,} instances" if finding.instances else ""
    differs = "" if finding.as_recorded else "  NOT AS RECORDED"
    print(f"{number}  {claim.key:<19} {finding.status:<22} {finding.summary}{tried}{differs}", flush=True)
    if not in_full:
        return
    about = {
        "stands in": f"{claim.paper.citation}, {claim.where}",
        "claims": claim.statement,
        "needs": claim.conditions,
        "correctly": claim.corrected,
    }
    for label, text in about.items():
        if text:
            print(f"    {label + ':':<11} {text}")
    for line in finding.evidence:
        print(f"    {line}")
    print()


def _conclude(findings: Sequence[Finding], seconds: float) -> int:
    differing = [finding.claim.key for finding in findings if not finding.as_recorded]
    count = f"{len(findings)} claim{'s' * (len(findings) != 1)}, {seconds:.0f} s"
    if differing:
        print(f"{count}: theorems not as recorded: {', '.join(differing)}")
        return EXIT_DIFFERS
    print(f"{count}: all theorems as recorded")
    return 0
