"""A run as rows, one a trial: what was proposed, by what, what was expected and what came out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.config.config import RunConfig, parse_config
from nas.evaluators.evaluator import Failed, Observation
from nas.record.history import History, Trial, fold
from nas.record.journal import open_for_reading


def trajectory(history: History) -> list[dict[str, Any]]:
    """The trials in the order of their numbers, JSON values throughout.

    Returns:
        Of each: `trial`, `round`, `arm`, `origin`; `fidelity`, which trial it `continues`, and with
            which one's weights it began, `donor`; `decisions` by
        path; `canonical`; `seed`; `state` (`observed`, `failed`, `pending`); `score`, `seconds`,
        `metrics` by name; `reason` of a failure; `prediction` (`mean`, `aleatoric`, `epistemic`).
        What there is none of is None.
    """
    return [_row(trial) for trial in history.trials]


def of_runs(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The trajectories of several runs one after another, so that what several agents and
    strategies tried can be pooled.

    Returns:
        `trajectory`'s rows behind `run`, `space`, `evaluator`, `strategy` with its settings (of a
        run from outside they hold `agent`), and the run's `run_seed`.

    Raises:
        nas.record.journal.JournalError: a directory is no run.
    """
    rows = []
    for directory in directories:
        with open_for_reading(directory) as journal:
            config = parse_config(journal.config, f"the configuration in {directory}")
            about = {"run": str(directory), **_described(config)}
            rows += [{**about, **row} for row in trajectory(fold(journal.events()))]
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV: decisions and settings as JSON, the prediction as its three numbers, each
    metric as a column `metrics.NAME`.
    """
    flat = [_flat(row) for row in rows]
    columns = dict.fromkeys(name for row in flat for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def to_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows for a terminal."""
    several = len({row["run"] for row in rows}) > 1
    heads = (
        *(("run",) if several else ()),
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
    cells = [heads, *(_cells(row, several) for row in rows)]
    silent = {"donor"} if all(row["donor"] is None for row in rows) else set[str]()
    silent |= {"epochs"} if all(row["fidelity"] == 1.0 for row in rows) else set()
    cells = [
        tuple(cell for cell, head in zip(line, heads, strict=True) if head not in silent)
        for line in cells
    ]
    heads = cells[0]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = {"run", "arm", "origin", "architecture"}
    lines = [
        "  ".join(
            cell.ljust(width) if head in left else cell.rjust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        )
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _row(trial: Trial) -> dict[str, Any]:
    outcome = trial.outcome
    observed = outcome if isinstance(outcome, Observation) else None
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
        "state": "pending"
        if outcome is None
        else "failed"
        if isinstance(outcome, Failed)
        else "observed",
        "score": None if observed is None else observed.score,
        "seconds": None if outcome is None else outcome.seconds,
        "metrics": {} if observed is None else dict(observed.metrics),
        "reason": f"{outcome.kind}: {outcome.reason}" if isinstance(outcome, Failed) else None,
        "prediction": None if trial.prediction is None else asdict(trial.prediction),
    }


def _described(config: RunConfig) -> dict[str, Any]:
    return {
        "space": config.space,
        "evaluator": config.evaluator.name,
        "strategy": config.strategy.model_dump(mode="json"),
        "run_seed": config.seed,
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


def _cells(row: Mapping[str, Any], several: bool) -> tuple[str, ...]:
    score = f"{row['score']:.6g}" if row["state"] == "observed" else row["state"]
    expected = "–" if row["prediction"] is None else f"{row['prediction']['mean']:.6g}"
    seconds = "–" if row["seconds"] is None else f"{row['seconds']:.4g}"
    decided = ", ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={value}"
        for path, value in row["decisions"].items()
    )
    donor = "–" if row["donor"] is None else str(row["donor"])
    own = (
        str(row["trial"]),
        str(row["round"]),
        row["arm"],
        row["origin"],
        donor,
        f"{row['fidelity']:.3g}",
        score,
        expected,
        seconds,
        decided,
    )
    return (row["run"], *own) if several else own
