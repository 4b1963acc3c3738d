"""Tables and a time series of packages, by otgen and by its peers at equal time: see experiments/yours.

    python -m studies.yours cancer fair power [--methods otgen copula ctgan tvae] [--seconds 30] [--seeds 10 11 12]

Each seed draws its own training and test rows, and seeds the method. A run's numbers are kept in
``experiments/yours/TABLE/results.json`` beside those of earlier ones, and ``report.md`` is written anew from all of
them. It needs scikit-learn; statsmodels for ``fair``, sktime for ``power`` and ctgan for its networks
(``pip install --no-deps statsmodels sktime ctgan rdt faker tzlocal tqdm``). A run takes its seconds of training on one
core, and a few for the metrics.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from otgen.metrics import (
    ClosestRecord,
    CorrelationError,
    Detection,
    Marginals,
    MissingRates,
    RowSets,
    SpreadRatio,
    TrainOnSynthetic,
)
from otgen.train.rundir import environment
from studies.yours.report import report
from studies.yours.synthesisers import SYNTHESISERS
from studies.yours.tables import DEMONSTRATIONS, Demonstration

FILED = Path(__file__).parents[2] / "experiments" / "yours"
METRICS = (Marginals, CorrelationError, SpreadRatio, MissingRates, TrainOnSynthetic, Detection, ClosestRecord)


def one_run(table: Demonstration, method: str, seconds: float, seed: int) -> dict[str, Any]:
    """The numbers of one run."""
    train, test = table.split(seed)
    made = SYNTHESISERS[method].make(train, table.target, seconds, seed)
    rows = RowSets(fake=made.rows, real=train, held_out=test, kinds=table.kinds_of(train), target=table.target)
    values = {key: value for metric in METRICS for key, value in metric()(rows).items()}
    return {"seconds": made.seconds, "epochs": made.epochs, "environment": environment(), "values": values}


def main() -> None:
    """Run what was asked for, and file it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=DEMONSTRATIONS)
    parser.add_argument("--methods", nargs="+", choices=SYNTHESISERS, default=[*SYNTHESISERS])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11, 12])
    parser.add_argument("--out", type=Path, default=FILED)
    asked = parser.parse_args()
    for name in asked.tables:
        folder = asked.out / name
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "results.json"
        runs: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        for method in asked.methods:
            for seed in asked.seeds:
                done = one_run(DEMONSTRATIONS[name], method, asked.seconds, seed)
                runs.setdefault(method, {})[str(seed)] = {"budget": asked.seconds, **done}
                file.write_text(json.dumps(runs, indent=1, sort_keys=True) + "\n", encoding="utf-8")
                shown = ("correlation_error", "tstr_auc", "detection_auc", "dcr_share")
                print(name, method, seed, *(f"{key} {done['values'][key]:.3f}" for key in shown), flush=True)
        (folder / "report.md").write_text(report(DEMONSTRATIONS[name], runs), encoding="utf-8")


if __name__ == "__main__":
    main()
