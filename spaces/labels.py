"""The labels under which the options of a choice are stored.

A string, number, boolean or None is its own label; a tuple is labelled by its JSON text; a function
or class by its `__name__`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from spaces.domains import Answer

SCALARS = frozenset({str, int, float, bool, type(None)})


def labels_of(path: str, options: Sequence[Any]) -> tuple[Answer, ...]:
    """The labels of a choice's options, in order.

    Raises:
        ValueError: there are no options, an option has no label, or two have the same label.
    """
    labels = tuple(
        [option if option.__class__ in SCALARS else label_of(option) for option in options]
    )
    if not labels:
        raise ValueError(f"the choice {path!r} has no options")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(
            f"the choice {path!r} has two options with the label {twice!r} (1, 1.0 and True "
            "count as one); make them distinct"
        )
    return labels


def label_of(option: Any) -> Answer:
    """The label of an option that is not a scalar.

    Raises:
        ValueError: the option is neither a tuple of labelled options nor has a name.
    """
    if isinstance(option, tuple | list):
        return json.dumps(option, default=label_of)
    name = getattr(option, "__name__", None)
    if name is None or name == "<lambda>":
        raise ValueError(
            "an option must be a string, number, boolean, None, a tuple of these, or a named "
            f"function or class; got {option!r}. "
            "Choose among names instead and look the object up by the name chosen"
        )
    return name
