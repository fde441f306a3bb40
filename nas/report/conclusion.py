"""What a run came to, as sentences: the headline, and a note on inherited weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.config.arms import SEARCH
from nas.report.figures import counted, figure, with_spread
from nas.report.verdict import winning


def headline(summary: Mapping[str, Any]) -> str:
    """The result in one or two sentences, with random search's result at the same budget."""
    if summary["unkept"] is not None:
        return f"{summary['unkept'][0].upper()}{summary['unkept'][1:]}."
    if summary["front"] is None:
        return _by_score(summary)
    return f"{summary['front']['sentence']} {_by_score(summary)}".rstrip()


def transfer_note(summary: Mapping[str, Any]) -> str:
    """A further sentence on inherited weights; empty if trainings of the run inherit none."""
    if summary["transfer"] is None:
        return ""
    sentence = summary["transfer"]["sentence"]
    return f" {sentence[0].upper()}{sentence[1:]}."


def _by_score(summary: Mapping[str, Any]) -> str:
    if summary["comparison"] is not None:
        return summary["comparison"]["sentence"]
    arm, decimals = summary["arms"][SEARCH], summary["decimals"]
    won, best = winning(arm), arm["best"]
    if won is not None:
        seeds = counted(won["test"]["seeds"], "seed")
        score = with_spread(won["test"], decimals)
        return f"The winner, trial {won['trial']}, scores {score} on test, over {seeds}."
    if best is not None:
        score = figure(best["validation"], decimals)
        return f"The best validation score is {score}, of trial {best['trial']}."
    failed = f"; {counted(arm['failed'], 'evaluation')} failed" if arm["failed"] else ""
    return f"Nothing has been evaluated yet{failed}."
