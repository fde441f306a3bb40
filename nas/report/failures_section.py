"""The report's section on failures: every failed evaluation and full training, by kind."""

from __future__ import annotations

from nas.evaluators.evaluator import Failed
from nas.record.history import History
from nas.report.figures import duration
from nas.report.markup import Html, card, details, element, joined, section


def failures(history: History) -> Html:
    """A card for each kind of failure, the most frequent first, with reasons and details."""
    kinds: dict[str, list[tuple[int, str, Failed]]] = {}
    for trial in history.failed:
        if isinstance(trial.outcome, Failed):
            item = (trial.number, trial.arm, trial.outcome)
            kinds.setdefault(trial.outcome.kind, []).append(item)
    for final in history.finals:
        if isinstance(final.result, Failed):
            when = f"{history.trial(final.trial).arm}, full training, seed {final.seed}"
            kinds.setdefault(final.result.kind, []).append((final.trial, when, final.result))
    if not kinds:
        return section("Failures", element("p", "None." if history.trials else "None so far."))
    cards = [
        card(f"{kind}: {len(items)}", *(_failure(*item) for item in items))
        for kind, items in sorted(kinds.items(), key=lambda entry: -len(entry[1]))
    ]
    return section("Failures", *cards)


def _failure(number: int, when: str, outcome: Failed) -> Html:
    words = f"({when}, after {duration(outcome.seconds)}) {outcome.reason}"
    title = joined(f"Trial {number} ", element("span", words, style="reason words"))
    return details(title, element("pre", outcome.detail or "No further detail was recorded."))
