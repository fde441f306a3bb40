"""The report's sections: from what is known of a run to HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate, groupby
from math import hypot
from typing import Any

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.constraints import CONSTRAINT
from nas.record.arms import SEARCH
from nas.record.history import History, Trial
from nas.record.scorecard import NINETY
from nas.report.charts import Judged, Series, Strip, agreement, bars, best_so_far, curves, strips
from nas.report.figures import amount, at_fidelity, counted, duration, figure, percent, with_spread
from nas.report.markup import Html, card, details, element, how, joined, pair, section, table
from nas.report.summary import winning

# How many of the best trials' learning curves are drawn.
CURVES = 6


def tiles(summary: Mapping[str, Any]) -> Html:
    """The figures to see first."""
    decimals, pooled = summary["decimals"], summary["surrogate"]["pooled"]
    shown = [_arm_tile(name, arm, decimals) for name, arm in summary["arms"].items()]
    evaluated = " + ".join(
        amount(arm["spent"]) if _in_parts(arm) else str(arm["evaluated"])
        for arm in summary["arms"].values()
    )
    failed = sum(arm["failed"] for arm in summary["arms"].values())
    each = " each" if len(summary["arms"]) > 1 else ""
    broken = f", {len(summary['infeasible'])} infeasible" if summary["infeasible"] else ""
    if summary["front"]:
        shares = {
            name: f"{figure(100 * arm['hypervolume'], 1)} %"
            for name, arm in summary["front"]["arms"].items()
            if arm["hypervolume"] is not None
        }
        others = "; ".join(f"{name} {share}" for name, share in shares.items() if name != SEARCH)
        shown.append(
            _tile(
                "front, hypervolume",
                shares.get(SEARCH, "–"),
                others or "of the box of values",
                _style(SEARCH),
            )
        )
    shown.append(
        _tile(
            "evaluated",
            evaluated,
            f"of {summary['budget']}{each}; {failed or 'none'} failed{broken}",
        )
    )
    if pooled["predicted"]:
        shown.append(
            _tile(
                "surrogate ranks",
                figure(pooled["rank_correlation"], 2),
                f"correlation, {counted(pooled['predicted'], 'result')}",
            )
        )
        shown.append(_tile("in 90 % intervals", percent(pooled["coverage_90"]), "of the results"))
    if summary["seconds"]:
        shown.append(_tile("evaluation time", duration(summary["seconds"]), "with full trainings"))
    return element("div", *shown, style="tiles")


def _in_parts(arm: Mapping[str, Any]) -> bool:
    """Whether there are trainings of fewer epochs, so that a trial is not a whole evaluation."""
    return arm["spent"] != arm["evaluated"] + arm["failed"] + arm["pending"]


def finalists(summary: Mapping[str, Any]) -> Html:
    """The full trainings: every seed's test score in a chart, and the figures in a table."""
    decimals = summary["decimals"]
    chosen = [
        (name, arm, finalist)
        for name, arm in summary["arms"].items()
        for finalist in arm["finalists"]
    ]
    if not chosen:
        return section(
            "Finalists",
            element(
                "p",
                "None chosen: finalists are trained fully and tested when the search has ended.",
            ),
        )
    rows, marked, drawn = [], [], []
    for name, arm, item in chosen:
        won = item["trial"] == arm["winner"]
        marked.append(won)
        validation, test = (
            with_spread(item["validation"], decimals),
            with_spread(item["test"], decimals),
        )
        tested = sum("test" in final for final in item["finals"])
        seeds = (
            str(tested) if tested == len(item["finals"]) else f"{tested} of {len(item['finals'])}"
        )
        rows.append(
            [
                _name(name),
                str(item["trial"]),
                test,
                seeds,
                validation,
                figure(item["search_validation"], decimals),
            ]
        )
        if item["test"]:
            values = tuple(final["test"] for final in item["finals"] if "test" in final)
            label = f"{name}, trial {item['trial']}"
            drawn.append(
                Strip(
                    label,
                    values,
                    item["test"]["mean"],
                    item["test"]["deviation"],
                    _style(name),
                    won,
                )
            )
    heads = ["arm", "trial", "test", "seeds", "validation", "in the search"]
    listing = table(heads, rows, ["", *["figure"] * 5], marked)
    figures = card(
        "In figures",
        listing,
        how(
            "Mean ± standard deviation over the seeds. The winner has the best mean validation "
            "score; test scores choose nothing. Bold: the arm's winner." + _transferred(summary)
        ),
    )
    if not drawn:
        return section("Finalists", figures)
    chart = strips(
        drawn, description="Test score of each finalist with each seed", x_label="test score"
    )
    reading = how(
        "A ring for each seed's full training, a bar at their mean, a band of one standard "
        "deviation to each side. Bold: the arm's winner."
    )
    return section("Finalists", pair(card("Test scores", chart, reading), figures))


def search(history: History, summary: Mapping[str, Any]) -> Html:
    """The best score so far in each arm, the learning curves of the best trials, and what the
    strategy noted.
    """
    if not history.trials:
        return section("Search", element("p", "Nothing has been proposed yet."))
    arms = {name: history.of_arm(name) for name in summary["arms"]}
    series = [_series(name, arm, summary["decimals"]) for name, arm in arms.items() if arm.trials]
    labels = {
        "description": "Best validation score so far in each arm",
        "x_label": "trials",
        "y_label": "validation score",
    }
    chart = best_so_far(
        series,
        budget=max(summary["budget"], *(math.ceil(arm.spent) for arm in arms.values())),
        **labels,
    )
    shown = [
        card(
            "Best so far",
            chart,
            how(
                "Line: the best validation score up to that trial. A point for each trial, "
                "filled for the search; a triangle at the lower edge is a score "
                "below what is shown, a tick on the axis a failure or a broken constraint."
                + _transferred(summary)
            ),
        )
    ]
    best = [
        trial
        for trial in _best(history, CURVES)
        if isinstance(trial.outcome, Observation) and len(trial.outcome.curve) > 1
    ]
    if best:
        shown.append(
            card(
                "Learning curves",
                _learning(best),
                how(
                    f"Validation score after each epoch in the search, of the {len(best)} best "
                    "trials; the best one labelled."
                ),
            )
        )
    notes = _notes(summary)
    noted = (
        [
            card(
                "What the strategy noted",
                table(["arm", "rounds", "note"], notes, ["", "", "words"]),
            )
        ]
        if notes
        else []
    )
    beside = noted if len(shown) == 1 else []
    return section("Search", pair(*shown, *beside), *([] if beside else noted))


def _transferred(summary: Mapping[str, Any]) -> str:
    """What the scores of the search owe to weights handed on, as a further sentence."""
    return (
        ""
        if summary["transfer"] is None
        else f" {summary['transfer']['sentence'][0].upper()}{summary['transfer']['sentence'][1:]}."
    )


def surrogate(history: History, summary: Mapping[str, Any]) -> Html:
    """What the surrogate predicted beside what came out: every trial, and by round."""
    judged = [trial for trial in history.observed if trial.prediction is not None]
    if not judged:
        return Html("")
    rounds = summary["surrogate"]["rounds"]
    first, last = min(trial.round for trial in judged), max(trial.round for trial in judged)
    points = [
        _judged(trial, (trial.round - first) / max(1, last - first), summary["decimals"])
        for trial in judged
    ]
    labels = {
        "description": "Observed over predicted validation scores",
        "x_label": "predicted",
        "y_label": "observed validation score",
    }
    scatter = card(
        "Predicted and observed",
        agreement(points, **labels, ends=(f"round {first}", f"round {last}")),
        how(
            "Each point is a trial as predicted before it was evaluated; whiskers are 90 % "
            "intervals. On the dashed line both agree. Hollow: beyond the edge."
        ),
    )
    if not rounds:
        return section("Surrogate", pair(scatter))
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
        "results to tell. "
        "Below: the dashed line is the 90 % that the intervals promise."
    )
    return section(
        "Surrogate",
        pair(
            scatter,
            card(
                "By round",
                correlation,
                coverage,
                reading,
                details("In figures", _scorecards(summary)),
            ),
        ),
    )


def failures(history: History) -> Html:
    """What failed, by kind, each with its reason and detail."""
    failed = [(trial.number, trial.arm, trial.outcome) for trial in history.failed]
    failed += [
        (
            final.trial,
            f"{history.trial(final.trial).arm}, full training, seed {final.seed}",
            final.result,
        )
        for final in history.finals
    ]
    kinds: dict[str, list[tuple[int, str, Failed]]] = {}
    for number, when, outcome in failed:
        if isinstance(outcome, Failed):
            kinds.setdefault(outcome.kind, []).append((number, when, outcome))
    if not kinds:
        return section("Failures", element("p", "None." if history.trials else "None so far."))
    cards = []
    for kind, items in sorted(kinds.items(), key=lambda entry: -len(entry[1])):
        entries = []
        for number, when, outcome in items:
            title = joined(
                f"Trial {number} ",
                element(
                    "span",
                    f"({when}, after {duration(outcome.seconds)}) {outcome.reason}",
                    style="reason words",
                ),
            )
            entries.append(
                details(title, element("pre", outcome.detail or "No further detail was recorded."))
            )
        cards.append(card(f"{kind}: {len(items)}", *entries))
    return section("Failures", *cards)


def _arm_tile(name: str, arm: Mapping[str, Any], decimals: int) -> Html:
    what, won, best = "search" if name == SEARCH else f"{name} search", winning(arm), arm["best"]
    if won is not None:
        return _tile(
            f"{what}, test",
            _large(won["test"], decimals),
            f"trial {won['trial']}, {counted(won['test']['seeds'], 'seed')}",
            _style(name),
        )
    if best is not None:
        return _tile(
            f"{what}, validation",
            figure(best["validation"], decimals),
            f"the best, trial {best['trial']}",
            _style(name),
        )
    return _tile(f"{what}, validation", "–", "nothing evaluated yet", _style(name))


def _large(statistics: Mapping[str, Any], decimals: int) -> Html:
    mean, _, deviation = with_spread(statistics, decimals).partition(" ± ")
    return joined(mean, element("span", f" ± {deviation}", style="spread") if deviation else "")


def _tile(what: str, much: str, more: str, style: str = "") -> Html:
    parts = [
        element("div", what, style="what"),
        element("div", much, style=f"much {style}".strip()),
        element("div", more, style="more"),
    ]
    return element("div", *parts, style="tile")


def _series(name: str, arm: History, decimals: int) -> Series:
    # Places are what the arm has used of the budget, failures too: where every trial is a whole
    # evaluation, their count. Scores of different fidelities cannot be compared, so those of the
    # highest alone are shown.
    places = dict(
        zip(
            (trial.number for trial in arm.trials),
            accumulate(map(arm.cost, arm.trials)),
            strict=True,
        )
    )
    return Series(
        label=f"{name} {figure(arm.best.score, decimals)}" if arm.best else name,
        points=tuple((places[trial.number], trial.score) for trial in arm.fullest),
        style=_style(name),
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
        name, points = f"trial {trial.number}", tuple(enumerate(trial.outcome.curve, start=1))
        series.append(
            Series(
                "" if place else name,
                points,
                "faint" if place else "strong",
                (f"{name}: {trial.score:.6g}",),
            )
        )
    description = "Validation score after each epoch, of the best trials"
    return curves(
        series[::-1], description=description, x_label="epoch", y_label="validation score"
    )


def _judged(trial: Trial, shade: float, decimals: int) -> Judged:
    prediction = trial.prediction
    assert prediction is not None
    half = NINETY * hypot(prediction.aleatoric, prediction.epistemic)
    said = (
        f"predicted {figure(prediction.mean, decimals)} ± {figure(half, decimals)}, observed "
        f"{figure(trial.score, decimals)}"
    )
    return Judged(
        prediction.mean,
        half,
        trial.score,
        shade,
        f"trial {trial.number} (round {trial.round}): {said}",
    )


def _scorecards(summary: Mapping[str, Any]) -> Html:
    decimals = summary["decimals"]

    def cells(name: str, item: Mapping[str, Any]) -> list[str]:
        figures = [
            figure(item.get(key), digits)
            for key, digits in (
                ("rank_correlation", 2),
                ("mean_error", decimals),
                ("regret", decimals),
            )
        ]
        return [
            name,
            str(item["predicted"]),
            figures[0],
            percent(item.get("coverage_90")),
            *figures[1:],
        ]

    rows = [cells(str(item["round"]), item) for item in summary["surrogate"]["rounds"]]
    rows.append(cells("all", {**summary["surrogate"]["pooled"], "regret": None}))
    heads = ["round", "results", "rank correlation", "inside 90 %", "mean error", "regret"]
    reading = how(
        "Mean error: between prediction and result. Regret: how much better the round's best was "
        "than the trial predicted best."
    )
    return joined(
        table(heads, rows, ["", *["figure"] * 5], [False] * (len(rows) - 1) + [True]), reading
    )


def _notes(summary: Mapping[str, Any]) -> list[list[str]]:
    """Notes with their rounds; the same note in rounds that follow each other once."""

    def spans() -> Iterator[list[str]]:
        for (arm, note), items in groupby(
            summary["notes"], key=lambda item: (item["arm"], item["note"])
        ):
            rounds = [item["round"] for item in items]
            yield [
                _name(arm),
                str(rounds[0]) if len(rounds) == 1 else f"{rounds[0]}–{rounds[-1]}",
                note,
            ]

    return list(spans())


def _best(history: History, count: int) -> list[Trial]:
    """The best trials, each network once."""
    unique: dict[str, Trial] = {}
    for trial in history.ranked:
        unique.setdefault(trial.canonical, trial)
    return list(unique.values())[:count]


def _style(arm: str) -> str:
    return "search" if arm == SEARCH else "baseline"


def _name(arm: str) -> Html:
    return element("span", arm, style=f"arm {_style(arm)}")
