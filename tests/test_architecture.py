"""docs/architecture.md is true: it lists the files of today, and the wings in their order."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from tests.test_layers import WINGS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_list_of_files_is_todays() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_index.py"))["with_index"](PAGE)
    assert made == PAGE, "run python docs/make_index.py"


def test_the_wings_stand_in_their_order() -> None:
    assert re.findall(r"^\| `nas/(\w+)/` \|", PAGE, re.MULTILINE) == list(WINGS)
