"""`otgen ssim`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otgen.cli.config_parser import Parser
from otgen.cli.usage import add_plugins, at_least


def run(arguments: Sequence[str]) -> int:
    """How much the generator's weights still move around the end of a run."""
    parser = Parser(
        prog="otgen ssim",
        description="Train a run again up to its end, and on beyond it, and compare the generator's weights with those "
        "of the end: their structural similarity, its picture, and the regression of Adnan et al. 2021. A similarity "
        "of 1 says that the weights move little, not that they are good, nor that they are stationary.",
    )
    parser.add_argument("run", type=str, help="the directory of a finished run; its files stay as they are")
    parser.add_argument("--back", type=int | None, default=None, help="steps before the end; by default a tenth of it")
    parser.add_argument("--forward", type=int | None, default=None, help="steps beyond the end; as many by default")
    parser.add_argument("--every", type=int | None, default=None, help="steps between comparisons; default: 50 in all")
    add_plugins(parser)
    parsed = parser.parse_args(arguments)
    at_least(0, back=parsed.back, forward=parsed.forward)
    at_least(1, every=parsed.every)
    from rich.progress import Progress

    from otgen.cli.console import PlainConsole
    from otgen.runs.tracking import fit_power_law, track
    from otgen.runs.tracking_picture import draw_track
    from otgen.train import RunDir, checkpoint

    directory = RunDir.open(Path(parsed.run))
    stop = checkpoint.step_of(checkpoint.newest(directory.checkpoints))
    back = max(1, stop // 10) if parsed.back is None else parsed.back
    forward = back if parsed.forward is None else parsed.forward
    every = max(1, (back + forward) // 50) if parsed.every is None else parsed.every
    console = PlainConsole()
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task("training again", total=None)

        def report(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        points = track(directory, back=back, forward=forward, every=every, report=report)
    law = fit_power_law(points)
    result = {"stop": stop, "every": every, "law": vars(law), "points": [vars(point) for point in points]}
    file = directory.write_evaluation(stop, result, "-ssim")
    picture = draw_track(points, law, stop, directory.evaluations / f"ssim_{stop:08d}.png")
    least = min(points, key=lambda point: point.similarity)
    console.print(f"SSIM with the weights of step {stop:,}: least {least.similarity:.4f}, at step {least.step:,}")
    console.print(
        f"log(1 / SSIM) = {law.kappa:.3g} log(updates) + const, 95 % interval {law.low:.3g} to {law.high:.3g} if the "
        "residuals were independent. A straight line here is a power law, and no rate of convergence."
    )
    console.print(f"Numbers: {file}\nPicture: {picture}")
    return 0
