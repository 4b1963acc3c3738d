"""The report of a figure, computed from its results: claims with their verdicts, and the numbers of every panel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otgen.papers import Figure, Results, Status
from otgen.papers.claim import distinct, overall
from otgen.papers.figure_metrics import mean_and_range
from otgen.runs.verdict_faults import CHANCE, faults


def report(figure: Figure, results: Results, data: str) -> str:
    """The page, in Markdown; the pictures ``figure.png`` and ``curves.png`` lie beside it.

    Args:
        figure: whose claims are judged.
        results: of its runs.
        data: path of the results from the page's folder.
    """
    judged = [(claim, claim.verdicts(results)) for claim in figure.claims]
    lines = [f"# {figure.name}", "", f"{_sentence(figure.summary)} {figure.source}.", ""]
    lines += ["```console", f"$ {command(figure, results)}", "```", "", f"![{figure.name}](figure.png)", ""]
    if any(run.history for panel in results.panels.values() for run in panel.runs):
        lines += ["![Losses, metrics and updates over steps and seconds](curves.png)", ""]
    lines += ["## What the paper claims, and what was measured", "", "| the paper | where | verdict |"]
    lines += ["| --- | --- | --- |"]
    lines += [
        f"| {number}. {claim.statement} | {claim.where} | **{overall(verdicts)}** |"
        for number, (claim, verdicts) in enumerate(judged, 1)
    ]
    for number, (claim, verdicts) in enumerate(judged, 1):
        lines += ["", f"{number}. {_sentence(claim.statement)}"]
        parts = distinct(verdicts)
        words = [f"**{verdict.status}**: " if len(parts) > 1 else "" for verdict in parts]
        lines += [f"   - {word}{_sentence(v.text)}" for word, v in zip(words, parts, strict=True)]
    rules = dict.fromkeys((_RULES, *filter(None, (claim.rule for claim in figure.claims))))
    lines += ["", " ".join(rules), "", "## Panels", "", *_table(figure, results), "", *_remarks(results)]
    if figure.deviations:
        lines += ["## What differs from the paper", ""]
        lines += [f"{number}. {text}" for number, text in enumerate(figure.deviations, 1)] + [""]
    if figure.settings:
        lines += [f"Every setting beside the paper's, with the number that says why: `{figure.settings}`.", ""]
    lines += [*_assumptions(results), "## How it was run", ""]
    for machine in results.environments:
        packages, device = machine["packages"], machine["cuda"] or "no GPU"
        lines.append(
            f"- otgen {packages['otgen']}, PyTorch {packages['torch']}, Python {machine['python']}, "
            f"{machine['threads']} of {machine['cores']} cores, {device}, {machine['platform']}"
        )
    seeds = "one seed" if results.seeds == 1 else f"{results.seeds} seeds"
    values = f"Every value of every run, and the panels' configurations: [{data}]({data})."
    return "\n".join([*lines, "", f"Scale {results.scale}, {seeds} a panel. {values}", ""])


def command(figure: Figure, results: Results) -> str:
    """The command that repeats the figure, without the folder of the data."""
    first = min(run.seed for panel in results.panels.values() for run in panel.runs)
    words = f"otgen reproduce {figure.name} --scale {results.scale} --seeds {results.seeds} --first-seed {first}"
    given = {panel.config["budget"] for panel in results.panels.values() if panel.config.get("budget")}
    own = {str(budget) for panel in figure.panels if (budget := panel.build(results.scale).budget)}
    # One budget that the figure does not have was asked for.
    words += f" --budget {given.pop()}" if len(given) == 1 and not given & own else ""
    return words if len(results.panels) == len(figure.panels) else f"{words} --panels {','.join(results.panels)}"


# What the words of the verdicts mean.
_RULES = (
    f"A claim that one panel is better *{Status.HOLDS}* when every seed of the one is strictly better than every seed "
    f"of the other, *{Status.FAILS}* when no seed is better than any, and is *{Status.UNDECIDED}* otherwise. A claim "
    f"that two panels are alike *{Status.HOLDS}* when their seeds overlap, and *{Status.FAILS}* when every seed of one "
    f"is strictly better than every seed of the other. A claim that a panel reaches something *{Status.HOLDS}* when "
    f"every seed does, *{Status.FAILS}* when none does, and is *{Status.UNDECIDED}* otherwise. A run that diverged "
    "counts as the worst. A claim of several parts holds when all of them do, and fails with one. A claim on quality "
    "is tested by runs that took the paper's steps, ended by their method's own test, or settled: over the last third "
    "of the runs the metric's mean change is no more than the spread over seeds. A claim on speed is tested by runs of "
    f"equal time. Else it is *{Status.NOT_TESTED}*, and what was seen stands beside it. Numbers are the mean over "
    "seeds, and the least and the most."
)


def _assumptions(results: Results) -> Iterator[str]:
    panels = [panel for panel in results.panels.values() if panel.assumptions]
    if panels:
        yield from ("## The assumptions of the convergence theorems, in each panel's first run", "")
        for panel in panels:
            yield from (f"{panel.title}:", "", *(f"- {line}" for line in panel.assumptions), "")


def _table(figure: Figure, results: Results) -> Iterator[str]:
    """The table of the panels, one row each."""
    heads = ["panel", *(m.label for m in figure.measures), "generator steps", "critic updates", "seconds of training"]
    yield from (f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}")
    for name, panel in results.panels.items():
        title = f"{panel.title} (`{name}`{f', {panel.diverged} diverged' if panel.diverged else ''})"
        cells = [m.text(panel.values(m)) for m in figure.measures]
        for of, form in (("steps", ",.0f"), ("critic_updates", ",.0f"), ("seconds", ".1f")):
            cells.append(mean_and_range([getattr(run, of) for run in panel.runs], form))
        yield f"| {' | '.join([title, *cells])} |"
    yield from ("", "Critic updates are those of critics, potentials and learnt features together.")
    floors = [run.values["w1_real"] for p in results.panels.values() for run in p.runs if "w1_real" in run.values]
    if floors:
        floor = mean_and_range(floors, ".3f")
        yield from ("", f"W1 between as many real samples and the data, what no generator should be below: {floor}.")


def _remarks(results: Results) -> Iterator[str]:
    """What a reader of the samples should know, of each panel's first run."""
    said = {panel.title: _remarks_on(panel.runs[0].values) for panel in results.panels.values()}
    if any(said.values()):
        yield from ("## What to know of the samples, of each panel's first run", "")
        yield from (f"- {title}: {line}" for title, lines in said.items() for line in lines)
        yield ""


def _remarks_on(values: Mapping[str, float]) -> list[str]:
    """What is wrong with samples, and whether they differ from the data by more than chance."""
    said = [fault.text for fault in faults(values)]
    distance, real = values.get("w1_matched"), values.get("w1_real")
    if distance is not None and real is not None and distance > (1 + CHANCE) * real:
        # That of points that are all the same is 0.
        more = f"is {distance / real:.2g} times" if real > 0 else "is above"
        said.append(
            f"The Wasserstein distance, {distance:.3g}, {more} that between two sets of real samples, {real:.3g}: the "
            "samples differ from the data by more than chance."
        )
    return said


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
