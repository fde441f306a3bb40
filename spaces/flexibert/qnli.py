"""The small transformers that FlexiBERT's authors fine-tuned on QNLI.

They have two or four layers, each with self-attention and one feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.choices import Architecture
from spaces.domains import Answer
from spaces.flexibert.design import Design, flexibert

if TYPE_CHECKING:
    import numpy

SIMILARITIES = ("sdp", "wma")
DESIGN = Design(
    layers=(2, 4),
    hidden=(128, 256),
    heads=(2, 4),
    stacks=(1,),
    feed_forward=(512, 1024, 2048),
    operations=tuple(f"sa_{similarity}" for similarity in SIMILARITIES),
    homogeneous=True,
)


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    The published rows list each of the last four columns in ascending order. The columns, of which
    entries behind the last layer are ignored:
        layers (N,): the number of layers.
        heads, hidden, feed_forward (N, 4): of each layer.
        similarity (N, 4): an index into `SIMILARITIES` for each layer.
    """
    lists = [
        columns[name].tolist()
        for name in ("layers", "hidden", "heads", "similarity", "feed_forward")
    ]
    result = []
    for count, hidden, heads, similarity, feed_forward in zip(*lists, strict=True):
        decisions: list[tuple[str, Answer]] = [("layers", count)]
        for number in range(count):
            layer = f"layer_{number}"
            decisions += [
                (f"{layer}/hidden", hidden[number]),
                (f"{layer}/heads", heads[number]),
                (f"{layer}/operation", f"sa_{SIMILARITIES[similarity[number]]}"),
                (f"{layer}/stacks", 1),
                (f"{layer}/feed_forward", feed_forward[number]),
            ]
        result.append(Architecture(space.name, tuple(decisions)))
    return result


space = flexibert("flexibert_qnli", DESIGN, rows)
