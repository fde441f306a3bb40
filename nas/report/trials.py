"""A run as a table, one row for each trial: proposal, prediction and result."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.config.stored_run import read_run
from nas.evaluators.evaluator import Failed, Observation
from nas.record.history import History
from nas.record.trials import Trial

# The columns of the text for a terminal, and those that are aligned to the left.
HEADS = (
    "run",
    "trial",
    "round",
    "arm",
    "origin",
    "donor",
    "epochs",
    "score",
    "expected",
    "seconds",
    "architecture",
)
LEFT = ("run", "arm", "origin", "architecture")


def trajectory(history: History) -> list[dict[str, Any]]:
    """The trials in the order of their numbers, as JSON values.

    Returns:
        One row for each trial. A field without a value is None.
        `trial`, `round`, `arm`, `origin`, `canonical`, `seed`: of the trial.
        `fidelity`: the share of the epochs that it was trained for.
        `continues`: the trial that it was promoted from.
        `donor`: the trial with whose weights it began.
        `decisions`: by path.
        `state`: `observed`, `failed` or `pending`.
        `score`, `seconds`, `metrics` (by name): of its evaluation; `reason`: of a failure.
        `prediction`: `mean`, `aleatoric` and `epistemic`.
    """
    return [_row(trial) for trial in history.trials]


def of_runs(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The trials of several runs, so that trials of different agents and strategies can be pooled.

    Returns:
        The rows of `trajectory`, with `run`, `space`, `evaluator`, `strategy` and `run_seed` before
        them. `strategy` holds its settings; for a run that an outside agent drives, they include
        `agent`.

    Raises:
        nas.record.journal.JournalError: a directory is not a run.
    """
    rows = []
    for directory in directories:
        run = read_run(directory)
        about = {
            "run": str(directory),
            "space": run.config.space,
            "evaluator": run.config.evaluator.name,
            "strategy": run.config.strategy.model_dump(mode="json"),
            "run_seed": run.config.seed,
        }
        rows += [{**about, **row} for row in trajectory(run.history)]
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV.

    Decisions and settings are JSON; a prediction has three columns, and each metric has a column
    `metrics.NAME`.
    """
    flat = [_flat(row) for row in rows]
    columns = dict.fromkeys(name for row in flat for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def to_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as lines for a terminal; columns in which all rows are alike are left out."""
    left_out = set()
    if len({row["run"] for row in rows}) <= 1:
        left_out.add("run")
    if all(row["donor"] is None for row in rows):
        left_out.add("donor")
    if all(row["fidelity"] == 1.0 for row in rows):
        left_out.add("epochs")
    heads = [head for head in HEADS if head not in left_out]
    cells = [heads, *([_cells(row)[head] for head in heads] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        aligned = [
            cell.ljust(width) if head in LEFT else cell.rjust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _row(trial: Trial) -> dict[str, Any]:
    outcome = trial.outcome
    observed = outcome if isinstance(outcome, Observation) else None
    failed = outcome if isinstance(outcome, Failed) else None
    return {
        "trial": trial.number,
        "round": trial.round,
        "arm": trial.arm,
        "origin": trial.origin,
        "fidelity": trial.fidelity,
        "continues": trial.continues,
        "donor": trial.donor,
        "decisions": trial.architecture.answers,
        "canonical": trial.canonical,
        "seed": trial.seed,
        "state": "pending" if outcome is None else "failed" if failed else "observed",
        "score": None if observed is None else observed.score,
        "seconds": None if outcome is None else outcome.seconds,
        "metrics": {} if observed is None else dict(observed.metrics),
        "reason": None if failed is None else f"{failed.kind}: {failed.reason}",
        "prediction": None if trial.prediction is None else asdict(trial.prediction),
    }


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in row.items()
        if name not in ("metrics", "prediction")
    }
    prediction = row["prediction"] or dict.fromkeys(("mean", "aleatoric", "epistemic"))
    return {
        **plain,
        **prediction,
        **{f"metrics.{name}": value for name, value in row["metrics"].items()},
    }


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """The row's cells by the head of their column."""
    prediction, seconds, donor = row["prediction"], row["seconds"], row["donor"]
    decided = ", ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={value}"
        for path, value in row["decisions"].items()
    )
    return {
        "run": row["run"],
        "trial": str(row["trial"]),
        "round": str(row["round"]),
        "arm": row["arm"],
        "origin": row["origin"],
        "donor": "–" if donor is None else str(donor),
        "epochs": f"{row['fidelity']:.3g}",
        "score": f"{row['score']:.6g}" if row["state"] == "observed" else row["state"],
        "expected": "–" if prediction is None else f"{prediction['mean']:.6g}",
        "seconds": "–" if seconds is None else f"{seconds:.4g}",
        "architecture": decided,
    }
