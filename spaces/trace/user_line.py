"""The line of the user's program at which a module failed."""

from __future__ import annotations

import linecache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import torch

_HERE = Path(__file__).parent
_OURS = (
    *(str(Path(torch.__file__).parent), str(_HERE), str(_HERE.with_name("ops"))),
    *(str(_HERE.with_name("structure.py")), "<"),
)


class UserLine(NamedTuple):
    """A line of a file, in a function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.line).strip()
        return f"{self.file}:{self.line}, in {self.function}:\n    {text}\n"


def user_line(error: BaseException) -> UserLine | None:
    """The last line of the error's traceback that is neither in torch nor in this package."""
    place: TracebackType | None = error.__traceback__
    found: UserLine | None = None
    while place is not None:
        file = place.tb_frame.f_code.co_filename
        if not file.startswith(_OURS):
            found = UserLine(file, place.tb_lineno, place.tb_frame.f_code.co_qualname)
        place = place.tb_next
    return found
