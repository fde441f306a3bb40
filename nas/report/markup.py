"""HTML is made from values; plain text is escaped here, and only here.

Strings that are HTML already have the type `Html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is HTML: it is put into a page unchanged. Any other string is escaped."""

    __slots__ = ()


def element(tag: str, *content: str, style: str = "", **attributes: str) -> Html:
    """An element with its content; `style` is its class."""
    given = {**({"class": style} if style else {}), **attributes}
    shown = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    return Html(f"<{tag}{shown}>{joined(*content)}</{tag}>")


def joined(*content: str) -> Html:
    """The parts one after another; plain text is escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def section(title: str, *content: str) -> Html:
    """A section of the page under its heading."""
    return element("section", element("h2", title), *content)


def card(title: str, *content: str) -> Html:
    """A box with a heading."""
    return element("div", element("h3", title), *content, style="card")


def pair(*cards: str) -> Html:
    """Boxes side by side if there is room."""
    return element("div", *cards, style="pair")


def how(words: str) -> Html:
    """The line under a chart that says how to read it."""
    return element("p", words, style="how")


def details(title: str, *content: str, is_open: bool = False) -> Html:
    """Content that is folded behind a line with its title."""
    inside = joined(element("summary", title), *content)
    return Html(f"<details{' open' if is_open else ''}>{inside}</details>")


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    marked: Sequence[bool] = (),
) -> Html:
    """A table; it has no head if no column has a name.

    Args:
        heads: the names of the columns.
        rows: their cells.
        styles: the class of each column; none by default.
        marked: whether each row is bold; none is by default.
    """
    styles, marked = styles or [""] * len(heads), marked or [False] * len(rows)

    def row_of(tag: str, cells: Sequence[str], style: str = "") -> Html:
        shown = (element(tag, cell, style=each) for cell, each in zip(cells, styles, strict=True))
        return element("tr", *shown, style=style)

    head = row_of("th", heads) if any(heads) else Html("")
    body = [
        row_of("td", row, "won" if mark else "") for row, mark in zip(rows, marked, strict=True)
    ]
    listing = element("table", element("thead", head), element("tbody", *body))
    return element("div", listing, style="wide")
