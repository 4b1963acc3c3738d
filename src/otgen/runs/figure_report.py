"""The results of a figure, as a page for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otgen import files
from otgen.papers import Claim, ClaimStatus, Figure, Results, Verdict
from otgen.papers.run_claims import distinct, mean_and_range, overall
from otgen.train import RunConfig
from otgen.train.config import plain


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A figure with its runs and the verdicts on its claims.

    Attributes:
        figure: the figure.
        results: the results of its runs.
        verdicts: each claim, and a verdict for each part of it.
        configs: by panel name, the configuration of its first seed.
        environments: the software and hardware of the runs.
    """

    figure: Figure
    results: Results
    verdicts: tuple[tuple[Claim, tuple[Verdict, ...]], ...]
    configs: Mapping[str, RunConfig]
    environments: list[dict[str, Any]]

    @property
    def seeds(self) -> int:
        """Number of runs per panel."""
        return max(len(runs) for runs in self.results.runs.values())

    @property
    def command(self) -> str:
        """The command that repeats the figure, without the folder of the data."""
        words = f"otgen reproduce {self.figure.name} --scale {self.results.scale} --seeds {self.seeds}"
        left_out = len(self.configs) < len(self.figure.panels)
        return f"{words} --panels {','.join(self.configs)}" if left_out else words


def write_results(judged: Judged, path: Path) -> Path:
    """Write all numbers of all runs, the verdicts, the configurations and the environments, as JSON."""
    results = judged.results
    about = {
        "figure": judged.figure.name,
        "source": judged.figure.source,
        "scale": results.scale.value,
        "seeds": judged.seeds,
        "claims": [
            {
                "text": claim.text,
                "source": claim.source,
                "status": overall(verdicts).value,
                "verdicts": [{"status": v.status.value, "text": v.text} for v in verdicts],
            }
            for claim, verdicts in judged.verdicts
        ],
        "panels": {
            name: {
                "title": results.titles[name],
                "runs": [asdict(run) for run in runs],
                "config": plain(judged.configs[name]),
            }
            for name, runs in results.runs.items()
        },
        "environments": judged.environments,
    }
    return files.write_json(path, about)


def write_report(judged: Judged, path: Path, picture: str, data: str) -> Path:
    """Write the page: the picture, each claim with its verdict and the numbers behind it, a table of the panels.

    Args:
        judged: the figure.
        path: path of the page.
        picture: file name of the picture, which is in the page's folder, as is ``data``.
        data: file name of the JSON.
    """
    figure, results = judged.figure, judged.results
    lines = [f"# {figure.name}", "", f"{_sentence(figure.summary)} {figure.source}.", ""]
    lines += ["```console", f"$ {judged.command}", "```", "", f"![{figure.name}]({picture})", ""]
    lines += ["## What the paper claims, and what was measured", ""]
    lines += ["| the paper | where | verdict |", "| --- | --- | --- |"]
    lines += [
        f"| {number}. {claim.text} | {claim.source} | **{overall(verdicts)}** |"
        for number, (claim, verdicts) in enumerate(judged.verdicts, 1)
    ]
    for number, (claim, verdicts) in enumerate(judged.verdicts, 1):
        lines += ["", f"{number}. {_sentence(claim.text)}"]
        parts = distinct(verdicts)
        words = [f"**{verdict.status}**: " if len(parts) > 1 else "" for verdict in parts]
        lines += [f"   - {word}{_sentence(v.text)}" for word, v in zip(words, parts, strict=True)]
    lines += ["", *_rules(results.least_steps), "", "## Panels", "", *_table(judged), ""]
    if figure.deviations:
        lines += ["## What differs from the paper", ""]
        lines += [f"{number}. {text}" for number, text in enumerate(figure.deviations, 1)] + [""]
    lines += ["## How it was run", ""]
    for machine in judged.environments:
        packages, device = machine["packages"], machine["cuda"] or "no GPU"
        lines.append(
            f"- otgen {packages['otgen']}, PyTorch {packages['torch']}, Python {machine['python']}, "
            f"{machine['threads']} of {machine['cores']} cores, {device}, {machine['platform']}"
        )
    seeds = "one seed" if judged.seeds == 1 else f"{judged.seeds} seeds"
    values = f"Every value of every run, and the panels' configurations: [{data}]({data})."
    lines += ["", f"Scale {results.scale}, {seeds} a panel. {values}", ""]
    return files.write(path, "\n".join(lines))


def _rules(least_steps: int) -> list[str]:
    """The meaning of the words in the verdicts."""
    return [
        f"A claim that one panel is better *{ClaimStatus.HOLDS}* when every seed of the one is strictly better than "
        f"every seed of the other, *{ClaimStatus.FAILS}* when no seed is better than any, and is "
        f"*{ClaimStatus.UNDECIDED}* otherwise. "
        f"A claim that two panels are alike *{ClaimStatus.HOLDS}* when their seeds overlap, and *{ClaimStatus.FAILS}* "
        f"when every seed of one is strictly better than every seed of the other. "
        f"A claim that a panel reaches something *{ClaimStatus.HOLDS}* when every seed does, *{ClaimStatus.FAILS}* "
        f"when none does, and is *{ClaimStatus.UNDECIDED}* otherwise. A run that diverged counts as the worst. A claim "
        f"of several parts holds when all of them do, and fails with one. There is *{ClaimStatus.NONE}* on a panel "
        "that was not run, "
        f"on runs of fewer than {max(least_steps, 1):,} generator steps, and at scale smoke. Numbers are the mean over "
        "seeds, and the least and the most."
    ]


def _table(judged: Judged) -> list[str]:
    """The table of the panels, one row each."""
    results, measures = judged.results, judged.figure.measures
    heads = ["panel", *(m.label for m in measures), "generator steps", "critic updates", "seconds of training"]
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name, runs in results.runs.items():
        diverged = sum(run.diverged is not None for run in runs)
        title = f"{results.titles[name]} (`{name}`{f', {diverged} diverged' if diverged else ''})"
        cells = [m.text(results.values(name, m)) for m in measures]
        cells.append(mean_and_range([run.steps for run in runs], ",.0f"))
        cells.append(mean_and_range([run.critic_updates for run in runs], ",.0f"))
        cells.append(mean_and_range([run.seconds for run in runs], ".1f"))
        rows.append(f"| {' | '.join([title, *cells])} |")
    return [*rows, "", "Critic updates are those of critics, potentials and learnt features together."]


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
