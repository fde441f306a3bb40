"""FlexiBERT (Tuli et al., JAIR 2023): transformer encoders whose layers differ from each other.

Layers differ in width, heads, operation and feed-forward part. A space of your own is a design:

    design = Design(
        layers=(2, 4), hidden=(64, 128), heads=(2, 4), stacks=(1, 2), feed_forward=(128, 256)
    )
    space = flexibert("mine", design)
"""

from spaces.flexibert.description import Layer, describe, layers_of
from spaces.flexibert.design import OPERATIONS, Design, flexibert
from spaces.flexibert.encoder import network
from spaces.flexibert.refining import refined

__all__ = [
    "OPERATIONS",
    "Design",
    "Layer",
    "describe",
    "flexibert",
    "layers_of",
    "network",
    "refined",
]
