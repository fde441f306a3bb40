"""The arms of a run: the compared strategies, each with the same budget. An arm's name stands in
every round of the journal.
"""

from __future__ import annotations

# The strategy that the user asked for, and random search beside it.
SEARCH, BASELINE = "search", "random"
# How the journal of a run names the strategy that `nas.outside` let propose.
OUTSIDE = "outside"
