"""The report's drawings of the architectures that came out best, with their decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.config.config import RunConfig
from nas.config.shapes import shapes_from_json
from nas.record.history import History, Trial
from nas.report.figures import at_fidelity, figure, with_spread
from nas.report.markup import Html, details, element, section, table
from spaces import SearchSpace
from spaces.load import known_spaces, load_space

# How many architectures are shown while there are no finalists.
SHOWN = 2


@dataclass(frozen=True)
class Drawable:
    """The space to draw with, or None and the sentence that says why there is none."""

    space: SearchSpace | None
    why_not: str = ""


def drawable(
    config: RunConfig, environment: Mapping[str, Any], given: SearchSpace | None
) -> Drawable:
    """The space for a run's drawings: the one that the caller passes, or a built-in or installed
    one; no code runs because a run directory names it.
    """
    space = given
    if space is None and config.space not in known_spaces():
        return Drawable(
            None,
            f"Not drawn: the space {config.space} is code of its own, and runs only when the "
            "report is asked for with it (--space).",
        )
    try:
        space = load_space(config.space) if space is None else space
        shapes = environment.get("shapes")
        return Drawable(
            space if shapes is None else space.for_shapes(shapes_from_json(shapes, "the journal"))
        )
    except ValueError as error:
        return Drawable(None, f"Not drawn: {error}.")


def architectures(history: History, summary: Mapping[str, Any], source: Drawable) -> Html:
    """The winner of each arm drawn, then the other finalists behind a line each; before there are
    any, the best trials.
    """
    shown = _shown(history, summary)
    if not shown:
        return Html("")
    cards, folded, seen = [], [], set()
    for trial, title, is_first in shown:
        if trial.canonical in seen:
            continue
        seen.add(trial.canonical)
        content = _drawn(trial, source)
        if is_first:
            cards.append(element("div", element("h3", title), *content, style="card"))
        else:
            folded.append(details(title, *content))
    others = element("div", *folded, style="card") if folded else Html("")
    return section("Architectures", element("div", *cards, style="pair"), others)


def _shown(history: History, summary: Mapping[str, Any]) -> list[tuple[Trial, str, bool]]:
    decimals, result = summary["decimals"], []
    for name, arm in summary["arms"].items():
        for item in arm["finalists"]:
            first = item["trial"] == arm["winner"] or (arm["winner"] is None and item["rank"] == 1)
            score = (
                f"test {with_spread(item['test'], decimals)}"
                if item["test"]
                else f"validation {figure(item['search_validation'], decimals)}"
            )
            role = "winner" if item["trial"] == arm["winner"] else f"finalist {item['rank']}"
            result.append(
                (
                    history.trial(item["trial"]),
                    f"{name}, {role}: trial {item['trial']}, {score}",
                    first,
                )
            )
    if not result:
        best = history.ranked[:SHOWN]
        result = [
            (
                trial,
                f"{trial.arm}: trial {trial.number}{at_fidelity(trial.fidelity)}, validation "
                f"{figure(trial.score, decimals)}",
                True,
            )
            for trial in best
        ]
    return sorted(result, key=lambda item: not item[2])


def _drawn(trial: Trial, source: Drawable) -> list[Html]:
    decisions = table(
        ["decision", "answer"],
        [[path, _answer(answer)] for path, answer in trial.architecture.decisions],
        ["words", "words"],
    )
    if source.space is None:
        return [element("p", source.why_not, style="how"), decisions]
    from spaces.draw import draw_svg

    try:
        svg = draw_svg(source.space.graph(trial.architecture))
    except ValueError as error:
        return [element("p", f"Not drawn: {error}.", style="how"), decisions]
    drawing = element("div", Html(_own_names(svg, f"trial-{trial.number}-")), style="drawing")
    return [drawing, details(f"{len(trial.architecture.decisions)} decisions", decisions)]


def _answer(answer: Any) -> str:
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


def _own_names(svg: str, prefix: str) -> str:
    """The drawing with names of its own: on one page two drawings must not share theirs."""
    names = re.findall(r'\bid="([^"]+)"', svg)
    for name in names:
        svg = svg.replace(f'id="{name}"', f'id="{prefix}{name}"').replace(
            f"url(#{name})", f"url(#{prefix}{name})"
        )
    return svg
