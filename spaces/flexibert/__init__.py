"""FlexiBERT (Tuli et al., JAIR 2023): encoders whose layers differ in width, heads, operation and
feed-forward part. A space of one's own is a design:

space = flexibert("mine", Design(layers=(2, 4), hidden=(64, 128), heads=(2, 4), stacks=(1, 2),
feed_forward=(128, 256)))
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
