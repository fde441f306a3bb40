"""The search's winner is compared with random search's, also if random search is as good."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nas.report.figures import at_fidelity, counted, decimals_for, figure, with_spread

# Two means over a few seeds are called different if they are further apart than this many standard
# errors of their difference.
TELLING = 2.0


def compare(
    search: Mapping[str, Any], baseline: Mapping[str, Any], *, same_network: bool, decimals: int
) -> dict[str, Any]:
    """Two arms compared by the test scores of their winners, else by validation scores.

    Args:
        search, baseline: the arms, as `nas.report.summary.summarize` describes them.
        same_network: whether both winners have isomorphic graphs.
        decimals: with how many to show scores.

    Returns:
        `on`: `test`, `validation`, or None while there is nothing to compare.
        `difference`: the score of the search less that of the baseline.
        `standard_error`: of the difference; None with fewer than two seeds.
        `verdict`: `ahead`, `level`, `behind` or None.
        `sentence`: the verdict in words.
    """
    ours, theirs = winning(search), winning(baseline)
    if ours is not None and theirs is not None:
        return _on_test(ours, theirs, same_network, decimals)
    return _on_validation(search, baseline, decimals)


def winning(arm: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The winner among the arm's finalists in the summary; None if there is none yet."""
    return next(
        (finalist for finalist in arm["finalists"] if finalist["trial"] == arm["winner"]), None
    )


def _on_test(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], same_network: bool, decimals: int
) -> dict[str, Any]:
    difference = ours["test"]["mean"] - theirs["test"]["mean"]
    error = _standard_error(ours["test"], theirs["test"])
    scores = (
        f"On test, the search's winner (trial {ours['trial']}) scores "
        f"{with_spread(ours['test'], decimals)}, "
        f"random search's at the same budget (trial {theirs['trial']}) "
        f"{with_spread(theirs['test'], decimals)}, over {_seeds(ours, theirs)}."
    )
    if same_network:
        verdict, said = "level", "Both found the same network: random search was as good."
    else:
        apart = figure(abs(difference), max(decimals, decimals_for([0.0, difference]) - 2))
        verdict, said = _judged(difference, error, apart)
    return {
        "on": "test",
        "difference": difference,
        "standard_error": error,
        "verdict": verdict,
        "sentence": f"{scores} {said}",
    }


def _judged(difference: float, error: float | None, apart: str) -> tuple[str, str]:
    """The verdict and its sentence; `apart` is the size of the difference as text."""
    if difference <= 0:
        if difference == 0 or (error is not None and -difference <= TELLING * error):
            return "level", "Random search was as good."
        return "behind", f"Random search was better, by {apart}."
    lead = f"The search is ahead by {apart}"
    if error is None:
        return "ahead", f"{lead}; one seed says nothing about the spread."
    if difference <= TELLING * error:
        return (
            "level",
            f"{lead}, no more than the seeds alone bring about: random search was as good.",
        )
    if error == 0:
        return "ahead", f"{lead}."
    return "ahead", f"{lead}, more than the seeds alone bring about."


def _on_validation(
    search: Mapping[str, Any], baseline: Mapping[str, Any], decimals: int
) -> dict[str, Any]:
    best, other = search["best"], baseline["best"]
    undecided = {"on": None, "difference": None, "standard_error": None, "verdict": None}
    if best is None:
        failed = f"; {counted(search['failed'], 'evaluation')} failed" if search["failed"] else ""
        return {**undecided, "sentence": f"The search has evaluated nothing yet{failed}."}
    trial = f"trial {best['trial']}{at_fidelity(best['fidelity'])}"
    said = (
        f"The search's best validation score is {figure(best['validation'], decimals)} ({trial}) "
        f"after {counted(search['evaluated'], 'evaluation')}"
    )
    if other is None:
        none = "none that keeps the constraints" if baseline["infeasible"] else "no score yet"
        return {**undecided, "sentence": f"{said}; random search at the same budget has {none}."}
    difference = best["validation"] - other["validation"]
    said += (
        f", random search's {figure(other['validation'], decimals)} after {baseline['evaluated']}."
    )
    if best["fidelity"] != other["fidelity"]:
        unlike = "Of different numbers of epochs they cannot be compared."
        return {**undecided, "sentence": f"{said} {unlike}"}
    if baseline["spent"] >= search["spent"] and difference <= 0:
        said += " So far random search is as good or better."
    return {
        "on": "validation",
        "difference": difference,
        "standard_error": None,
        "verdict": "ahead" if difference > 0 else "behind" if difference < 0 else "level",
        "sentence": said,
    }


def _standard_error(one: Mapping[str, Any], other: Mapping[str, Any]) -> float | None:
    if one["deviation"] is None or other["deviation"] is None:
        return None
    return math.sqrt(
        one["deviation"] ** 2 / one["seeds"] + other["deviation"] ** 2 / other["seeds"]
    )


def _seeds(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    one, other = ours["test"]["seeds"], theirs["test"]["seeds"]
    return f"{counted(one, 'seed')} each" if one == other else f"{one} and {counted(other, 'seed')}"
