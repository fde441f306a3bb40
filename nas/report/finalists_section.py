"""The report's section on the finalists: their test scores as a chart and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.report.arms import arm_name, arm_style
from nas.report.conclusion import transfer_note
from nas.report.figures import figure, with_spread
from nas.report.markup import Html, card, element, how, pair, section, table
from nas.report.strip_chart import Strip, strips


def finalists(summary: Mapping[str, Any]) -> Html:
    """The full trainings: the test score of every seed in a chart, and all figures in a table."""
    chosen = [
        (name, arm, finalist)
        for name, arm in summary["arms"].items()
        for finalist in arm["finalists"]
    ]
    if not chosen:
        none = "None chosen: finalists are trained fully and tested when the search has ended."
        return section("Finalists", element("p", none))
    rows = [_row(name, item, summary["decimals"]) for name, _, item in chosen]
    marked = [item["trial"] == arm["winner"] for _, arm, item in chosen]
    heads = ["arm", "trial", "test", "seeds", "validation", "in the search"]
    reading = how(
        "Mean ± standard deviation over the seeds. The winner has the best mean validation "
        "score; test scores choose nothing. Bold: the arm's winner." + transfer_note(summary)
    )
    figures = card("In figures", table(heads, rows, ["", *["figure"] * 5], marked), reading)
    drawn = [
        _strip(name, item, won)
        for (name, _, item), won in zip(chosen, marked, strict=True)
        if item["test"]
    ]
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


def _row(name: str, item: Mapping[str, Any], decimals: int) -> list[str]:
    tested, seeds = sum("test" in final for final in item["finals"]), len(item["finals"])
    return [
        arm_name(name),
        str(item["trial"]),
        with_spread(item["test"], decimals),
        str(tested) if tested == seeds else f"{tested} of {seeds}",
        with_spread(item["validation"], decimals),
        figure(item["search_validation"], decimals),
    ]


def _strip(name: str, item: Mapping[str, Any], won: bool) -> Strip:
    return Strip(
        label=f"{name}, trial {item['trial']}",
        values=tuple(final["test"] for final in item["finals"] if "test" in final),
        mean=item["test"]["mean"],
        deviation=item["test"]["deviation"],
        style=arm_style(name),
        won=won,
    )
