"""FlexiBERT 2.0 (Tuli and Jha, EdgeTran, 2023), and its transformers that were measured on devices.

A transformer has two to twelve encoder layers. Each has its own width, an operation for every head,
and up to three feed-forward layers of their own widths. The space `on_devices` also chooses the
device (BOSHCODE). Heads have no order: the 1.7e88 architectures of the paper are those with
different graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.choices import Architecture
from spaces.domains import Answer
from spaces.flexibert.design import OPERATIONS, Design, flexibert
from spaces.setting import with_setting

if TYPE_CHECKING:
    import numpy

DESIGN = Design(
    layers=(2, 4, 6, 8, 10, 12),
    hidden=(128, 256, 512, 768),
    heads=(2, 4, 8, 12),
    stacks=(1, 2, 3),
    feed_forward=(256, 512, 1024, 2048, 3072, 4096),
    mixed=True,
)


# The GPU of a server, the CPU of a laptop, the CPU of an embedded board.
DEVICES = ("a100", "cpu_m1_pro", "cpu_jetson_nano")


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its columns, of which entries behind the last layer are ignored:
        layers (N,): the number of layers.
        hidden (N, 12): the width of each layer.
        operations (N, 12, 12): an index into `OPERATIONS` for each head of each layer, and -1
            behind the last head.
        feed_forward (N, 12, 3): the widths of the feed-forward layers, and 0 behind the last.
    """
    lists = [columns[name].tolist() for name in ("layers", "hidden", "operations", "feed_forward")]
    result = []
    for count, hidden, operations, feed_forward in zip(*lists, strict=True):
        decisions: list[tuple[str, Answer]] = [("layers", count)]
        for number in range(count):
            layer = f"layer_{number}"
            heads = [OPERATIONS[index] for index in operations[number] if index >= 0]
            sizes = [size for size in feed_forward[number] if size > 0]
            decisions += [
                (f"{layer}/hidden", hidden[number]),
                (f"{layer}/heads", len(heads)),
                *((f"{layer}/head_{place}", operation) for place, operation in enumerate(heads)),
                (f"{layer}/stacks", len(sizes)),
                *((f"{layer}/feed_forward_{place}", size) for place, size in enumerate(sizes)),
            ]
        result.append(Architecture(space.name, tuple(decisions)))
    return result


space = flexibert("flexibert2", DESIGN, rows)
on_devices = with_setting(space, "device", DEVICES, name="flexibert2_on_devices")
