"""How the report shows an arm: the style class of its marks, and its name in their colour."""

from __future__ import annotations

from nas.config.arms import SEARCH
from nas.report.markup import Html, element


def arm_style(arm: str) -> str:
    """The style sheet's class for the arm: `search`, or `baseline` for every other arm."""
    return "search" if arm == SEARCH else "baseline"


def arm_name(arm: str) -> Html:
    """The arm's name in the colour of its marks."""
    return element("span", arm, style=f"arm {arm_style(arm)}")
