"""One architecture of a search space, as a value: the decisions that were made."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spaces.domains import Answer
from spaces.labels import SCALARS


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: the space's name, and the decisions in the order asked.

    >>> str(Architecture("cells", (("op", "conv"), ("width", 16))))
    'op=conv, width=16'
    """

    space: str
    decisions: tuple[tuple[str, Answer], ...]

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that identify the architecture.

        They depend on the space's name and the decisions alone, so they are equal across processes
        and versions of Python.
        """
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    @property
    def answers(self) -> dict[str, Answer]:
        """The decisions by path."""
        return dict(self.decisions)

    def to_json(self) -> str:
        """A compact JSON object with the space's name and the decisions in order."""
        return json.dumps(
            {"space": self.space, "decisions": dict(self.decisions)},
            separators=(",", ":"),
            allow_nan=False,
        )

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The architecture that `to_json` wrote.

        Raises:
            ValueError: the text is not such an object.
        """
        try:
            loaded = json.loads(text)
            space, decisions = loaded["space"], loaded["decisions"]
            if not isinstance(space, str) or not isinstance(decisions, dict):
                raise TypeError("the fields have other types")
            return Architecture(
                space, tuple((path, _frozen(answer)) for path, answer in decisions.items())
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                'an architecture is a JSON object {"space": name, "decisions": {path: answer}}; '
                f"got {text[:80]!r} ({error})"
            ) from error

    def __str__(self) -> str:
        return ", ".join(f"{path}={_shown(answer)}" for path, answer in self.decisions)


def _frozen(value: Any) -> Answer:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if value.__class__ in SCALARS:
        return value
    raise TypeError(f"an answer cannot be {value!r}")


def _shown(answer: Answer) -> str:
    if isinstance(answer, float):
        return f"{answer:.4g}"
    return "+".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)
