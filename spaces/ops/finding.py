"""An operation by its name, and all attributes of a node with their defaults."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from spaces.graph import Node
from spaces.ops import elementwise_rules, text_rules
from spaces.ops.observed import PREFIX, observed
from spaces.ops.operation import REQUIRED, Op
from spaces.ops.vocabulary import OPS

_OUTPUT = Op("output", elementwise_rules.broadcast, most=None, call=text_rules.joined("+"))


def find(name: str) -> Op:
    """The operation of that name.

    Args:
        name: a name of `OPS`, "nn.X" for another torch.nn module, or "function:torch.f" for another
            torch function.

    Raises:
        ValueError: there is no such operation; the message names the nearest ones.
    """
    if name in OPS:
        return OPS[name]
    if name == "output":
        return _OUTPUT
    if name.startswith(PREFIX):
        return observed(name)
    if name.startswith(("nn.", "function:")):
        from spaces.ops.generic import generic

        return generic(name)
    near = difflib.get_close_matches(name, OPS, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        hint = f"known are {', '.join(OPS)}"
    raise ValueError(f"there is no operation {name!r}; {hint}")


@lru_cache(maxsize=65536)
def settings(node: Node) -> Mapping[str, Any]:
    """All attributes of a node, defaults included.

    Raises:
        ValueError: the operation or an attribute is unknown, or a required one is missing.
    """
    op = find(node.op)
    given = dict(node.attributes)
    share = given.pop("share", None)
    if share is not None and not op.constructed:
        raise ValueError(f"{node.op!r} has no weights, so it takes no attribute 'share'")
    unknown = [name for name in given if name not in op.defaults]
    required = [name for name, default in op.defaults.items() if default is REQUIRED]
    missing = [name for name in required if name not in given]
    if unknown or missing:
        takes = ", ".join(op.defaults) or "none"
        if unknown:
            wrong = f"has no attribute {unknown[0]!r}"
        else:
            wrong = f"needs the attribute {missing[0]!r}"
        raise ValueError(f"{node.op!r} {wrong}; its attributes: {takes}")
    return {**op.defaults, **given}
