"""`otgen list`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from otgen import data, methods, nets, ot
from otgen.cli.config_parser import Parser
from otgen.papers import all_figures, names


def run(arguments: Sequence[str]) -> int:
    """Print recipes and components."""
    Parser(prog="otgen list", description="List recipes and components.").parse_args(arguments)
    print("Recipes (otgen train NAME):")
    _table([(recipe.name, recipe.summary) for recipe in names()])
    print("\nFigures (otgen reproduce NAME):")
    _table([(figure.name, f"{figure.summary} ({figure.source})") for figure in all_figures()])
    print("\nPanels of figures (otgen train FIGURE/PANEL):")
    _table([(figure.name, ", ".join(panel.name for panel in figure.panels)) for figure in all_figures()])
    kinds = (
        ("Data (--data)", data, data.Source),
        ("Generators (--generator)", nets, nets.GeneratorNet),
        ("Critics (--method.critic)", nets, nets.CriticNet),
        ("Methods (--method)", methods, methods.Method),
        ("Optimisers (--method.generator_optimizer)", methods, methods.OptimizerConfig),
        ("Costs (--method.cost, solve --cost)", ot, ot.Cost),
        ("Regularisers (--method.reg, solve --reg)", ot, ot.Regulariser),
        ("Solvers (--method.solver)", ot, ot.DiscreteSolver),
        ("Semi-discrete solvers (--method.solver of SemiDiscreteGAN)", ot, ot.SemiDiscreteSolver),
        ("Grid solvers (--method.solver of SCO)", ot, ot.GridSolver),
    )
    for title, package, kind in kinds:
        print(f"\n{title}:")
        rows = []
        for component in (getattr(package, name) for name in package.__all__):
            if isinstance(component, type) and issubclass(component, kind) and not inspect.isabstract(component):
                summary = (inspect.getdoc(component) or "").split("\n")[0]
                rows.append((component.__name__, summary.replace("``", "").rstrip(":")))
        _table(rows)
    return 0


def _table(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"  {name:<{width}}  {text}")
