"""The report's style sheet: system fonts, one column of sections, light and dark, and paper."""

from importlib.resources import files


def style_sheet() -> str:
    """The text of `report.css`, which gives the classes of the page and of its charts."""
    return "\n" + files("nas.report").joinpath("report.css").read_text(encoding="utf-8")
