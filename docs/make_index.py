"""Writes the list of files in architecture.md: each with the first line of its docstring.

python docs/make_index.py
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("spaces", "predictors", "nas")
START, END = "<!-- files -->\n", "<!-- end -->\n"


def first_line(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text is not None, f"{path} has no docstring"
    return " ".join(text.split("\n\n")[0].split())


def index() -> str:
    """A table for each folder of the packages, its own docstring above it."""
    parts = []
    for package in PACKAGES:
        folders = sorted({path.parent for path in (ROOT / package).rglob("*.py")})
        for folder in folders:
            files = sorted(folder.glob("*.py"))
            rows = [
                f"| `{path.name}` | {first_line(path)} |"
                for path in files
                if path.name != "__init__.py"
            ]
            about = folder / "__init__.py"
            heading = f"### `{folder.relative_to(ROOT).as_posix()}/`"
            said = f"\n\n{first_line(about)}" if about.exists() else ""
            parts.append("\n".join([f"{heading}{said}", "", "| file | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def with_index(page: str) -> str:
    """The page with today's list between its two marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{index()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_index(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
