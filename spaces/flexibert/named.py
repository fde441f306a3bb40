"""The published FlexiBERT spaces, and a tiny one for a computer without an accelerator."""

from __future__ import annotations

from dataclasses import replace

from spaces.flexibert.design import Design, flexibert

PAPER = Design(
    layers=(2, 4),
    hidden=(128, 256),
    heads=(2, 4),
    operations=("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5", "c_9"),
    stacks=(1, 3),
    feed_forward=(512, 1024),
)
SMALL = Design(
    layers=(2, 4), hidden=(128, 256), heads=(2, 4), stacks=(1, 2, 3), feed_forward=(512, 1024, 2048)
)
FULL = Design(
    layers=(2, 4, 6),
    hidden=(128, 256, 512),
    heads=(2, 4, 8),
    stacks=(1, 2, 3),
    feed_forward=(512, 1024, 2048, 4096),
)
# An epoch takes seconds on two cores.
TINY = Design(layers=(2, 4), hidden=(32, 64), heads=(2, 4), stacks=(1, 2), feed_forward=(64, 128))

# The three levels of the authors' search, from coarse to fine.
coarse = flexibert("flexibert_coarse", replace(PAPER, stack=2, homogeneous=True))
homogeneous = flexibert("flexibert_homogeneous", replace(PAPER, homogeneous=True))
paper = flexibert("flexibert", PAPER)

small = flexibert("flexibert_small", SMALL)
full = flexibert("flexibert_full", FULL)
tiny = flexibert("flexibert_tiny", TINY)
