"""The report's section on the best architectures: their drawings and their decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.record.history import History
from nas.record.shapes import shapes_from_json
from nas.record.trials import Trial
from nas.report.figures import at_fidelity, figure, with_spread
from nas.report.markup import Html, details, element, section, table
from spaces import SearchSpace
from spaces.load import known_spaces, load_space

# How many architectures are shown before there are finalists.
SHOWN = 2


@dataclass(frozen=True)
class Drawable:
    """The space to draw with, or None and a sentence with the reason."""

    space: SearchSpace | None
    why_not: str = ""


def drawable(
    space_name: str, environment: Mapping[str, Any], given: SearchSpace | None
) -> Drawable:
    """The space for a run's drawings: the given one, or else a built-in or installed one.

    Code that only the run's directory names is not run.

    Args:
        space_name: from the run's configuration.
        environment: of the run; its `shapes` are those of the task's data.
        given: the space that the caller passes, if any.
    """
    space = given
    if space is None and space_name not in known_spaces():
        return Drawable(
            None,
            f"Not drawn: the space {space_name} is code of its own, and runs only when the "
            "report is asked for with it (--space).",
        )
    try:
        space = load_space(space_name) if space is None else space
        shapes = environment.get("shapes")
        if shapes is not None:
            space = space.for_shapes(shapes_from_json(shapes, "the journal"))
        return Drawable(space)
    except ValueError as error:
        return Drawable(None, f"Not drawn: {error}.")


def architectures(history: History, summary: Mapping[str, Any], source: Drawable) -> Html:
    """The winner of each arm, and the other finalists folded; before these, the best trials."""
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
    """The trials to show, each with its title and whether it stands open, those first."""
    decimals, result = summary["decimals"], []
    for name, arm in summary["arms"].items():
        for item in arm["finalists"]:
            first = item["trial"] == arm["winner"] or (arm["winner"] is None and item["rank"] == 1)
            if item["test"]:
                score = f"test {with_spread(item['test'], decimals)}"
            else:
                score = f"validation {figure(item['search_validation'], decimals)}"
            role = "winner" if item["trial"] == arm["winner"] else f"finalist {item['rank']}"
            title = f"{name}, {role}: trial {item['trial']}, {score}"
            result.append((history.trial(item["trial"]), title, first))
    if not result:
        for trial in history.ranked[:SHOWN]:
            which = f"{trial.arm}: trial {trial.number}{at_fidelity(trial.fidelity)}"
            result.append((trial, f"{which}, validation {figure(trial.score, decimals)}", True))
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
    """The drawing with a prefix to its ids, which must be unique on a page of several drawings."""
    for name in re.findall(r'\bid="([^"]+)"', svg):
        svg = svg.replace(f'id="{name}"', f'id="{prefix}{name}"')
        svg = svg.replace(f"url(#{name})", f"url(#{prefix}{name})")
    return svg
