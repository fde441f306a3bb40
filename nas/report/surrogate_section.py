"""The report's section on the surrogate: its predictions compared with the results."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Any

from nas.record.history import History
from nas.record.scorecard import NINETY
from nas.record.trials import Trial
from nas.report.figures import figure, percent
from nas.report.markup import Html, card, details, how, joined, pair, section, table
from nas.report.surrogate_charts import Judged, agreement, bars


def surrogate(history: History, summary: Mapping[str, Any]) -> Html:
    """Predictions beside results, for every trial and by round; empty without predictions."""
    judged = [trial for trial in history.observed if trial.prediction is not None]
    if not judged:
        return Html("")
    scatter = _scatter(judged, summary["decimals"])
    if not summary["surrogate"]["rounds"]:
        return section("Surrogate", pair(scatter))
    return section("Surrogate", pair(scatter, _by_round(summary)))


def _scatter(judged: list[Trial], decimals: int) -> Html:
    first, last = min(trial.round for trial in judged), max(trial.round for trial in judged)
    chart = agreement(
        [
            _judged(trial, (trial.round - first) / max(1, last - first), decimals)
            for trial in judged
        ],
        description="Observed over predicted validation scores",
        x_label="predicted",
        y_label="observed validation score",
        ends=(f"round {first}", f"round {last}"),
    )
    reading = how(
        "Each point is a trial as predicted before it was evaluated; whiskers are 90 % "
        "intervals. On the dashed line both agree. Hollow: beyond the edge."
    )
    return card("Predicted and observed", chart, reading)


def _by_round(summary: Mapping[str, Any]) -> Html:
    rounds = summary["surrogate"]["rounds"]
    names = [str(item["round"]) for item in rounds]
    correlation = bars(
        list(zip(names, [item.get("rank_correlation") for item in rounds], strict=True)),
        y_label="rank correlation",
        x_label="round",
        description="Rank correlation of predicted and observed scores by round",
    )
    coverage = bars(
        list(zip(names, [item.get("coverage_90") for item in rounds], strict=True)),
        y_label="share inside the 90 % interval",
        x_label="round",
        description="Share of results inside the 90 % interval by round",
        reference=(0.9, ""),
    )
    reading = how(
        "Above: 1 is the right order, 0 none; a round is a small sample, and a dash has too few "
        "results to tell. Below: the dashed line is the 90 % that the intervals promise."
    )
    scorecards = details("In figures", _scorecards(summary))
    return card("By round", correlation, coverage, reading, scorecards)


def _judged(trial: Trial, shade: float, decimals: int) -> Judged:
    prediction = trial.prediction
    assert prediction is not None
    half = NINETY * hypot(prediction.aleatoric, prediction.epistemic)
    title = (
        f"trial {trial.number} (round {trial.round}): "
        f"predicted {figure(prediction.mean, decimals)} ± {figure(half, decimals)}, "
        f"observed {figure(trial.score, decimals)}"
    )
    return Judged(prediction.mean, half, trial.score, shade, title)


def _scorecards(summary: Mapping[str, Any]) -> Html:
    decimals = summary["decimals"]

    def cells(name: str, item: Mapping[str, Any]) -> list[str]:
        return [
            name,
            str(item["predicted"]),
            figure(item.get("rank_correlation"), 2),
            percent(item.get("coverage_90")),
            figure(item.get("mean_error"), decimals),
            figure(item.get("regret"), decimals),
        ]

    rows = [cells(str(item["round"]), item) for item in summary["surrogate"]["rounds"]]
    rows.append(cells("all", {**summary["surrogate"]["pooled"], "regret": None}))
    heads = ["round", "results", "rank correlation", "inside 90 %", "mean error", "regret"]
    marked = [False] * (len(rows) - 1) + [True]
    reading = how(
        "Mean error: between prediction and result. Regret: how much better the round's best was "
        "than the trial predicted best."
    )
    return joined(table(heads, rows, ["", *["figure"] * 5], marked), reading)
