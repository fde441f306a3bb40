"""The shapes of the data that a network is made for: of one input or several, and of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spaces.structure import Named, by_name, is_shape, mapped


@dataclass(frozen=True)
class Shapes:
    """The shapes of a network's inputs and outputs, without the batch dimension.

    >>> Shapes(input={"image": (3, 32, 32), "table": (16,)}, output=(10,))
    Shapes(input={'image': (3, 32, 32), 'table': (16,)}, output=(10,), vocabulary=None)

    Attributes:
        input: of one sample; (channels, height, width) for images. For several inputs a tuple of
            shapes, or a mapping from names to shapes: the network is called `module(a, b)` or
            `module(image=a, table=b)`.
        output: of one sample; (classes,) for a classifier. If the network returns several tensors
            in evaluation, a tuple or mapping of their shapes, which they are compared with; or one
            shape, such as that of the main output, which several tensors are not compared with.
        vocabulary: the number of different tokens, if the inputs are tokens. For several inputs a
            tuple or mapping like `input`, with None for inputs that are no tokens.

    Raises:
        ValueError: these are no shapes, or the vocabulary has not the structure of the inputs.
    """

    input: Any  # A tuple of whole numbers; for several inputs a tuple or mapping of such tuples.
    output: Any
    vocabulary: Any = None

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            object.__setattr__(self, name, _frozen(name, getattr(self, name)))
        if isinstance(self.vocabulary, Mapping):
            object.__setattr__(self, "vocabulary", Named(self.vocabulary))
        if isinstance(self.vocabulary, list):
            object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if self.several and self.vocabulary is not None:
            sizes = by_name(self.vocabulary, "input")
            if sizes.keys() != by_name(self.input, "input", is_shape).keys():
                raise ValueError(
                    f"the inputs are {self.input}, so `vocabulary` gives for each of them how many "
                    "different tokens there are, or None where there are no tokens; got "
                    f"{self.vocabulary!r}"
                )

    @cached_property  # It is asked at each sample of a space.
    def several(self) -> bool:
        """Whether the input is a tuple or mapping of shapes."""
        return not is_shape(self.input)

    @property
    def vocabularies(self) -> Any:
        """The vocabulary of each input, in the structure of the inputs."""
        if self.several and self.vocabulary is None:
            return mapped(lambda shape: None, self.input, leaf=is_shape)
        return self.vocabulary

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values: lists, and mappings by name."""
        return {name: _plain(getattr(self, name)) for name in ("input", "output", "vocabulary")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def _frozen(name: str, value: Any) -> Any:
    """One shape or several, as a value that does not change.

    Raises:
        ValueError: these are no shapes, or inputs have names that no argument can have.
    """
    if is_shape(value):
        return tuple(value)
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | tuple | list) or not all(map(is_shape, parts)):
        raise ValueError(
            f"`{name}` is a shape such as (3, 32, 32), a tuple of shapes, or a mapping from names "
            f"to shapes; got {value!r}"
        )
    if name == "input" and isinstance(value, Mapping):
        for place in value:
            if not isinstance(place, str) or not place.isidentifier():
                raise ValueError(
                    "the names of inputs are those of arguments of the network's `forward`; got "
                    f"{place!r}"
                )
    frozen = mapped(tuple, value, leaf=is_shape)
    return Named(frozen) if isinstance(value, Mapping) else tuple(frozen)
