"""The report's section on the search: best scores, learning curves, the strategy's notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate, groupby
from typing import Any

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.constraints import CONSTRAINT
from nas.record.history import History
from nas.record.trials import Trial
from nas.report.arms import arm_name, arm_style
from nas.report.conclusion import transfer_note
from nas.report.figures import at_fidelity, figure
from nas.report.line_charts import Series, best_so_far, curves
from nas.report.markup import Html, card, element, how, pair, section, table

# How many of the best trials' learning curves are drawn.
CURVES = 6


def search(history: History, summary: Mapping[str, Any]) -> Html:
    """The best score so far in each arm, learning curves of the best trials, and all notes."""
    if not history.trials:
        return section("Search", element("p", "Nothing has been proposed yet."))
    shown = [_best_so_far(history, summary)]
    best = [
        trial
        for trial in _best(history, CURVES)
        if isinstance(trial.outcome, Observation) and len(trial.outcome.curve) > 1
    ]
    if best:
        reading = how(
            f"Validation score after each epoch in the search, of the {len(best)} best "
            "trials; the best one labelled."
        )
        shown.append(card("Learning curves", _learning(best), reading))
    notes, noted = _notes(summary), []
    if notes:
        listing = table(["arm", "rounds", "note"], notes, ["", "", "words"])
        noted.append(card("What the strategy noted", listing))
    # The notes stand beside the first chart if there are no learning curves, else below both.
    beside = noted if len(shown) == 1 else []
    return section("Search", pair(*shown, *beside), *([] if beside else noted))


def _best_so_far(history: History, summary: Mapping[str, Any]) -> Html:
    arms = {name: history.of_arm(name) for name in summary["arms"]}
    chart = best_so_far(
        [_series(name, arm, summary["decimals"]) for name, arm in arms.items() if arm.trials],
        budget=max(summary["budget"], *(math.ceil(arm.spent) for arm in arms.values())),
        description="Best validation score so far in each arm",
        x_label="trials",
        y_label="validation score",
    )
    reading = how(
        "Line: the best validation score up to that trial. A point for each trial, "
        "filled for the search; a triangle at the lower edge is a score "
        "below what is shown, a tick on the axis a failure or a broken constraint."
        + transfer_note(summary)
    )
    return card("Best so far", chart, reading)


def _series(name: str, arm: History, decimals: int) -> Series:
    # A trial's place on x is the budget that the arm has spent up to it, including failures. If all
    # trials are whole evaluations, this is their number. Scores of different fidelities cannot be
    # compared, so only those of the highest fidelity are shown.
    numbers = (trial.number for trial in arm.trials)
    places = dict(zip(numbers, accumulate(map(arm.cost, arm.trials)), strict=True))
    return Series(
        label=f"{name} {figure(arm.best.score, decimals)}" if arm.best else name,
        points=tuple((places[trial.number], trial.score) for trial in arm.fullest),
        style=arm_style(name),
        titles=tuple(
            f"trial {trial.number}{at_fidelity(trial.fidelity)} ({trial.origin}): {trial.score:.6g}"
            for trial in arm.fullest
        ),
        missing=tuple(
            (places[trial.number], _missing(trial.number, trial.outcome))
            for trial in arm.failed
            if isinstance(trial.outcome, Failed)
        ),
    )


def _missing(number: int, outcome: Failed) -> str:
    return f"trial {number}: {outcome.reason if outcome.kind == CONSTRAINT else outcome.kind}"


def _learning(best: list[Trial]) -> Html:
    series = []
    for place, trial in enumerate(best):
        assert isinstance(trial.outcome, Observation)
        name = f"trial {trial.number}"
        series.append(
            Series(
                label="" if place else name,
                points=tuple(enumerate(trial.outcome.curve, start=1)),
                style="faint" if place else "strong",
                titles=(f"{name}: {trial.score:.6g}",),
            )
        )
    # The best trial's curve is drawn last, over the others.
    return curves(
        series[::-1],
        description="Validation score after each epoch, of the best trials",
        x_label="epoch",
        y_label="validation score",
    )


def _notes(summary: Mapping[str, Any]) -> list[list[str]]:
    """The notes with their rounds; consecutive rounds with the same note share one row."""

    def spans() -> Iterator[list[str]]:
        for (arm, note), items in groupby(
            summary["notes"], key=lambda item: (item["arm"], item["note"])
        ):
            rounds = [item["round"] for item in items]
            span = str(rounds[0]) if len(rounds) == 1 else f"{rounds[0]}–{rounds[-1]}"
            yield [arm_name(arm), span, note]

    return list(spans())


def _best(history: History, count: int) -> list[Trial]:
    """The best trials, one for each network."""
    unique: dict[str, Trial] = {}
    for trial in history.ranked:
        unique.setdefault(trial.canonical, trial)
    return list(unique.values())[:count]
