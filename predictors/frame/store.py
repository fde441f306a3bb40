"""Fitted predictors on disk: one JSON file and one safetensors file.

`predictor.json` holds the settings and the vocabulary, `predictor.safetensors` the arrays. Nothing
is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from predictors.frame.untrusted import read_arrays, read_json

FORMAT = 2
SETTINGS_FILE = "predictor.json"
ARRAYS_FILE = "predictor.safetensors"


@dataclass(frozen=True)
class Stored:
    """The contents of a saved predictor.

    Attributes:
        name: the predictor's name in `PREDICTORS`.
        settings: its settings by name.
        state: the part of what was learnt that is stored as JSON.
        arrays: the part of what was learnt that is stored as arrays.
    """

    name: str
    settings: Mapping[str, Any]
    state: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def write(directory: str | Path, stored: Stored) -> None:
    """Write the two files; a missing directory is created."""
    from safetensors.numpy import save_file

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(array) for name, array in stored.arrays.items()},
        directory / ARRAYS_FILE,
    )
    text = {
        "format": FORMAT,
        "name": stored.name,
        "settings": dict(stored.settings),
        "state": dict(stored.state),
    }
    (directory / SETTINGS_FILE).write_text(
        json.dumps(text, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )


def read(directory: str | Path) -> Stored:
    """The stored predictor that `write` wrote into this directory.

    Raises:
        ValueError: a file is missing or malformed, has another format, or holds numbers that are
            not finite.
    """
    directory = Path(directory)
    try:
        loaded = read_json(directory / SETTINGS_FILE)
    except ValueError as error:
        raise ValueError(
            f"a saved predictor needs a readable {SETTINGS_FILE} in {directory} ({error})"
        ) from error
    fields = {"format": int, "name": str, "settings": dict, "state": dict}
    if not isinstance(loaded, dict) or not all(
        isinstance(loaded.get(field), kind) for field, kind in fields.items()
    ):
        raise ValueError(
            f"{directory / SETTINGS_FILE} must be a JSON object with the fields "
            f"{', '.join(fields)}; it is not"
        )
    if loaded["format"] != FORMAT:
        raise ValueError(
            f"{directory / SETTINGS_FILE} has the format {loaded['format']}; this version reads "
            f"{FORMAT}: fit the predictor again"
        )
    try:
        arrays = read_arrays(directory / ARRAYS_FILE)
    except ValueError as error:
        raise ValueError(
            f"a saved predictor needs a readable {ARRAYS_FILE} in {directory}: {error}; fit the "
            "predictor again"
        ) from error
    return Stored(loaded["name"], loaded["settings"], loaded["state"], arrays)
