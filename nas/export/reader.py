"""The text of the function with which an exported `model.py` reads its weights.

It needs torch and the standard library alone. It is a text and not our own code, so that every
export of every version carries the same lines.
"""

from __future__ import annotations

from importlib.resources import files


def reader_source() -> str:
    """The definition of `read_safetensors(path)`.

    The file that it is for imports hashlib, json, math, pathlib.Path and torch.
    """
    return files("nas.export").joinpath("read_safetensors.txt").read_text(encoding="utf-8")
