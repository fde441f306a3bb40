"""HTML from values. Text is escaped here and nowhere else: what is HTML already has the type
`Html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is HTML: it is put into a page as it is. Any other string is escaped."""

    __slots__ = ()


def element(tag: str, *content: str, style: str = "", **attributes: str) -> Html:
    """An element with its content; `style` is its class."""
    given = {**({"class": style} if style else {}), **attributes}
    shown = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    return Html(f"<{tag}{shown}>{joined(*content)}</{tag}>")


def joined(*content: str) -> Html:
    """The parts one after another, escaped where they are plain text."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def section(title: str, *content: str) -> Html:
    """A section of the page under its heading."""
    return element("section", element("h2", title), *content)


def card(title: str, *content: str) -> Html:
    """A box with a heading."""
    return element("div", element("h3", title), *content, style="card")


def pair(*cards: str) -> Html:
    """Boxes side by side where there is room."""
    return element("div", *cards, style="pair")


def how(words: str) -> Html:
    """The line under a chart that says how to read it."""
    return element("p", words, style="how")


def details(title: str, *content: str, is_open: bool = False) -> Html:
    """Content behind a line that opens it."""
    inside = joined(element("summary", title), *content)
    return Html(f"<details{' open' if is_open else ''}>{inside}</details>")


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    marked: Sequence[bool] = (),
) -> Html:
    """A table, without a head where no column has a name; `styles` are the classes of its columns,
    and `marked` says which rows stand out.
    """
    styles, marked = styles or [""] * len(heads), marked or [False] * len(rows)
    head = (
        element(
            "tr",
            *(element("th", name, style=style) for name, style in zip(heads, styles, strict=True)),
        )
        if any(heads)
        else Html("")
    )
    body = [
        element(
            "tr",
            *(element("td", cell, style=style) for cell, style in zip(row, styles, strict=True)),
            style="won" if mark else "",
        )
        for row, mark in zip(rows, marked, strict=True)
    ]
    return element(
        "div", element("table", element("thead", head), element("tbody", *body)), style="wide"
    )
