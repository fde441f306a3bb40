"""The arms of a run: the compared strategies, by the names that rounds have in the journal."""

from __future__ import annotations

from nas.record.history import History

# The strategy that the user asked for, and random search beside it.
SEARCH, BASELINE = "search", "random"
# The strategy's name in the configuration of a run whose proposals come from `nas.outside`.
OUTSIDE = "outside"


def budget_of(arm: str, history: History, budget: int, *, may_stop: bool) -> int:
    """The number of evaluations that an arm gets.

    Args:
        arm: its name.
        history: the run's, with all arms.
        budget: of the configuration, in whole evaluations.
        may_stop: whether a rule may end the search before its budget is used. Then every other arm
            gets as many evaluations as the search has used.
    """
    if arm == SEARCH or not may_stop:
        return budget
    return min(budget, max(1, round(history.of_arm(SEARCH).spent)))
