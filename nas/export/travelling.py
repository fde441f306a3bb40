"""An export as the user's own source files, with a small loader that needs torch and them alone.

It is made where the file that could be generated would not behave as the user's module does.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import nn

from nas.export.formats import head_source, preprocessing_source, write_module
from nas.export.preprocessing import Preprocessing, SeveralPreprocessing
from nas.export.reader import reader_source
from nas.export.sources import Sources

# The folder of the user's files in an export.
FOLDER = "source"

_IMPORTS = """import builtins
import contextlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator

import torch"""


@dataclass(frozen=True)
class Travelling:
    """The user's files that travel with an export.

    Attributes:
        sources: the files.
        reason: why no file could be generated instead, in a few words.
        seed: of the weights with which the training began.
    """

    sources: Sources
    reason: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """What the loader has to know, as JSON values."""
        sources = self.sources
        return {
            "module": sources.module,
            "name": sources.name,
            "takes_shapes": sources.takes_shapes,
            "seed": self.seed,
            "files": [f"{FOLDER}/{place}" for place, _ in sources.files],
            "needs": list(sources.needs),
        }

    def __str__(self) -> str:
        shown = ", ".join(f"`{FOLDER}/{place}`" for place, _ in self.sources.files)
        *others, last = self.sources.needs
        needs = f"{', '.join(others)} and {last}" if others else last
        return (
            f"**The source files of the search space travel with this network**: {shown}. "
            "`model.py` makes the network by them, from the decisions in `architecture.json`, and "
            f"reads its weights from `model.safetensors`. They need {needs}, and nothing of the "
            f"search. No file of the network alone could be generated ({self.reason})."
        )


def write_sources(
    folder: Path,
    network: nn.Module,
    travelling: Travelling,
    *,
    preprocessing: Preprocessing | SeveralPreprocessing | None,
    input_shape: Any,
    classes: tuple[str, ...],
    title: str,
) -> None:
    """Writes `model.py`, `model.safetensors` and the user's files.

    Args:
        folder: the directory to write to.
        network: with its weights.
        travelling: the user's files.
        preprocessing, classes, title: as for `nas.export.formats.module_source`.
        input_shape: without the batch; several in a tuple or mapping.
    """
    for place, content in travelling.sources.files:
        path = folder / FOLDER / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    prepare = preprocessing_source(preprocessing, input_shape)
    loader = files("nas.export").joinpath("load_sources.txt").read_text(encoding="utf-8")
    head = head_source(title, _IMPORTS, classes, prepares=bool(prepare), input_shape=input_shape)
    parts = (head, loader, prepare, reader_source())
    write_module(folder, "\n\n".join(part for part in parts if part), network)
