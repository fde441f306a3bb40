"""Report pages for tests: they are written, their charts are found, and their HTML is checked."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from nas.config.sections import RunConfig
from nas.record.journal import Event, create
from nas.report import write_report
from tests.nas.report.made_up_runs import config_of

ENVIRONMENT = {
    "python": "3.11.9",
    "cpu_count": 4,
    "packages": {"torch": "2.6.0"},
    "shapes": {"input": [3, 32, 32], "output": [10]},
}


def written(
    directory: Path,
    events: list[Event],
    config: RunConfig | None = None,
    environment=ENVIRONMENT,
    **options,
) -> str:
    config = config or config_of()
    with create(directory, config.model_dump(mode="json"), environment) as journal:
        journal.append(events)
    return write_report(directory, **options).read_text(encoding="utf-8")


def svgs(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg\b.*?</svg>", html, re.S)]


def charts(html: str) -> dict[str, ElementTree.Element]:
    return {
        svg.attrib["aria-label"]: svg for svg in svgs(html) if svg.attrib.get("class") == "chart"
    }


class Balanced(HTMLParser):
    """Checks that tags are closed in order, and that nothing is loaded from outside or executed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str | None] = []

    def handle_starttag(self, tag, attrs):
        self.names += [value for name, value in attrs if name == "id"]
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "xlink:href"} & {name for name, _ in attrs}
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(html: str) -> None:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert len(parser.names) == len(set(parser.names))
    svgs(html)
    rest = html.replace("http://www.w3.org/2000/svg", "")
    for outside in ("http:", "https:", "@import", "<script"):
        assert outside not in rest
