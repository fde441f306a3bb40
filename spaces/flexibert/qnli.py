"""The small transformers that FlexiBERT's authors fine-tuned on QNLI: two or four layers of
self-attention, one feed-forward layer in each.
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

    Its columns: `layers` (N,); `heads`, `hidden`, `similarity` and `feed_forward` (N, 4), for each
        layer, those behind the last being ignored;
    `similarity` is an index into `SIMILARITIES`. The published rows list each of the four in
    ascending order.
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
            decisions += [(f"{layer}/hidden", hidden[number]), (f"{layer}/heads", heads[number])]
            decisions += [
                (f"{layer}/operation", f"sa_{SIMILARITIES[similarity[number]]}"),
                (f"{layer}/stacks", 1),
            ]
            decisions.append((f"{layer}/feed_forward", feed_forward[number]))
        result.append(Architecture(space.name, tuple(decisions)))
    return result


space = flexibert("flexibert_qnli", DESIGN, rows)
