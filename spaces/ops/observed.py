"""Operations that were only observed: their shape and their costs are known, their text is not.

They are named "observed:nn.LSTM" or "observed:aten.sort" and describe what a user's own module
computes where the vocabulary has no operation for it. A graph that has one cannot be built; the
module itself is.
"""

from __future__ import annotations

from functools import lru_cache

from spaces.ops.operation import REQUIRED, Attributes, Op, Shapes
from spaces.ops.shapes import Shape

PREFIX = "observed:"


@lru_cache(maxsize=4096)
def observed(name: str) -> Op:
    """The operation "observed:NAME".

    Its attributes are `shape` (of the result, the batch written -1), the numbers of `parameters`
    and `multiply_adds` for one sample, and `detail`, a digest of everything that the description
    leaves out.
    """
    return Op(
        name,
        _shape,
        {"shape": REQUIRED, "parameters": 0, "multiply_adds": 0, "detail": ""},
        fewest=0,
        most=None,
        ordered=True,
        call=_no_text,
        parameters=lambda attributes, inputs: attributes["parameters"],
        multiply_adds=lambda attributes, inputs, output: attributes["multiply_adds"],
    )


def _shape(attributes: Attributes, inputs: Shapes) -> Shape:
    return tuple(attributes["shape"])


def _no_text(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    raise ValueError(
        "this network was described by observing it, so it cannot be written as a Python file of "
        "its own: use the module that the space's program makes"
    )
