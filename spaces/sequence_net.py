"""Small networks for sequences whose blocks are of different kinds: signals, series, sensors.

    stem -> stage 1: blocks -> transition -> stage 2: blocks -> transition -> stage 3: blocks
         -> head -> [dropout] -> linear

A stage keeps its width and its number of points. The transition to the next stage changes the width
and may halve the points. Sequences need at least 8 points; long ones are shortened by the stem.

Each block is one of these; the last two only in the last stage, since they cost time on many
points:

    conv       a convolution, dilated or not
    separable  a convolution of each channel by itself, dilated or not, then one over the channels
    gru        a gated recurrent unit (Cho et al. 2014), in one or both directions
    attention  self-attention of several heads (Vaswani et al. 2017)

No network has more than 60,000 parameters for up to ten classes on 40 points.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from spaces.choices import Chooser
from spaces.graph import Graph, GraphBuilder, Node, node
from spaces.space import SearchSpace, Shapes

# The options for the width of each stage; the stem has the width of the first stage.
WIDTHS = ((4, 8, 12, 16), (4, 8, 16, 24), (4, 8, 16, 32))
DEPTHS = (1, 2)
ACTIVATIONS = ("relu", "gelu", "silu", "tanh")
NORMS = ("batch", "layer", "none")
TRANSITIONS = ("none", "strided", "max_pool", "avg_pool")
LOCAL_BLOCKS = ("conv", "separable")
ALL_BLOCKS = (*LOCAL_BLOCKS, "gru", "attention")
KERNELS = (3, 5, 7)
DILATIONS = (1, 2, 4)
HEADS = (1, 2, 4)
READOUTS = ("mean", "max", "last", "flatten")
DROPOUTS = (0.0, 0.1)
SMALLEST_LENGTH = 8
# The stem brings longer sequences to fewer than twice as many points.
LONG = 64


def define(choose: Chooser, shapes: Shapes) -> Graph:
    """The network.

    Raises:
        ValueError: the inputs are not sequences, or too short, or the output is not a vector of
            scores.
    """
    length = _length(shapes)
    activation = choose.one_of("activation", ACTIVATIONS)
    network = _Network(shapes.input, activation, choose.one_of("norm", NORMS))
    width = choose.one_of("stem/width", WIDTHS[0])
    # A window that is longer by the stride leaves no point out.
    stride = max(1, length // LONG)
    kernel = choose.one_of("stem/kernel", KERNELS)
    value = network.convolution(
        0, "stem", width, kernel + stride - 1, stride=stride, padding=kernel // 2
    )
    for stage, widths in enumerate(WIDTHS, 1):
        last = stage == len(WIDTHS)
        with choose.scope(f"stage{stage}"):
            if stage > 1:
                width = choose.one_of("width", widths)
                # The blocks of the last stage that cost time get half the points, at most.
                kind = choose.one_of("transition", TRANSITIONS[1:] if last else TRANSITIONS)
                value = _transition(network, value, f"stage{stage}/transition", width, kind)
            for block in range(1, choose.one_of("depth", DEPTHS) + 1):
                with choose.scope(f"block{block}"):
                    kinds = ALL_BLOCKS if last else LOCAL_BLOCKS
                    value = _block(
                        choose, network, value, f"stage{stage}/block{block}", width, kinds
                    )
    value = _read(network, value, choose.one_of("head/readout", READOUTS))
    dropout = choose.one_of("head/dropout", DROPOUTS)
    if dropout:
        value = network.add("dropout", value, "head/dropout", p=dropout)
    value = network.add("linear", value, "head/linear", out_features=shapes.output[0])
    return network.builder.output(value)


def _length(shapes: Shapes) -> int:
    if shapes.several or len(shapes.input) != 2 or len(shapes.output) != 1:
        raise ValueError(
            "the space sequence_net takes sequences (channels, length) to a vector of scores "
            f"(classes,); this task has inputs {shapes.input} and outputs {shapes.output}: write a "
            "space of your own for it (nas init writes one to start from)"
        )
    if shapes.input[1] < SMALLEST_LENGTH:
        raise ValueError(
            f"the space sequence_net takes sequences of at least {SMALLEST_LENGTH} points; this "
            f"task has {shapes.input[1]}: give longer ones"
        )
    return shapes.input[1]


class _Network:
    """A graph being built, whose nodes are labelled, with one kind of norm and of activation."""

    def __init__(self, input_shape: tuple[int, ...], activation: str, norm: str) -> None:
        self.builder = GraphBuilder()
        self.builder.input(input_shape)
        self.activation = activation
        self.norm = norm

    def add(self, op: str, value: int, label: str, **attributes: Any) -> int:
        return self.builder.add(_node(op, label, **attributes), value)

    def merge(self, first: int, second: int, label: str) -> int:
        return self.builder.add(_node("add", label), first, second)

    def convolution(
        self,
        value: int,
        label: str,
        width: int | str,
        kernel: int,
        *,
        activated: bool = True,
        **window: Any,
    ) -> int:
        """A convolution, the norm, and an activation."""
        bias = self.norm == "none"
        value = self.add(
            "conv1d", value, label, out_channels=width, kernel_size=kernel, bias=bias, **window
        )
        return self.normalize(value, label, activated)

    def normalize(self, value: int, label: str, activated: bool) -> int:
        """The norm, if there is one, and an activation."""
        if self.norm == "batch":
            value = self.add("batch_norm1d", value, f"{label}/norm")
        elif self.norm == "layer":
            # One group is layer norm over all channels and points (Wu & He 2018).
            value = self.add("group_norm", value, f"{label}/norm", num_groups=1)
        return self.add(self.activation, value, f"{label}/act") if activated else value

    def transposed(self, value: int, label: str) -> int:
        """From (C, T) to (T, C), and back."""
        return self.add("transpose", value, label, dim0=1, dim1=2)


def _block(
    choose: Chooser,
    network: _Network,
    value: int,
    label: str,
    width: int,
    kinds: tuple[str, ...],
) -> int:
    """One block of `width` input and output channels.

    The choices are its kind, its settings, and whether it has a skip connection.
    """
    kind = choose.one_of("op", kinds)
    if kind in LOCAL_BLOCKS:
        kernel = choose.one_of("kernel", KERNELS)
        dilation = choose.one_of("dilation", DILATIONS)
        window: dict[str, Any] = {"dilation": dilation, "padding": dilation * (kernel // 2)}
    if kind == "conv":
        result = network.convolution(value, f"{label}/conv", width, kernel, **window)
    elif kind == "separable":
        result = network.convolution(
            value, f"{label}/depthwise", "in_channels", kernel, groups="in_channels", **window
        )
        result = network.convolution(result, f"{label}/pointwise", width, 1)
    else:
        result = network.transposed(value, f"{label}/steps")
        if kind == "gru":
            both = choose.one_of("bidirectional", (True, False))
            result = network.add(
                "gru",
                result,
                f"{label}/gru",
                hidden_size=width // 2 if both else width,
                bidirectional=both,
            )
        else:
            heads = choose.one_of("heads", HEADS)
            result = network.add(
                "multihead_attention", result, f"{label}/attention", num_heads=heads
            )
        result = network.transposed(result, f"{label}/channels")
        result = network.normalize(result, label, activated=False)
    if not choose.one_of("skip", (True, False)):
        return result
    return network.merge(value, result, f"{label}/skip")


def _transition(network: _Network, value: int, label: str, width: int, kind: str) -> int:
    """`width` channels, and half the points but for the kind "none"."""
    if kind == "strided":
        return network.convolution(value, label, width, 3, stride=2, padding=1)
    if kind != "none":
        value = network.add(f"{kind}1d", value, f"{label}/pool", kernel_size=2, stride=2)
    return network.convolution(value, label, width, 1)


def _read(network: _Network, value: int, kind: str) -> int:
    """The values of all points (C, T) as one vector: their mean, largest, last, or all of them."""
    if kind == "flatten":
        return network.add("flatten", value, "head/flatten")
    if kind == "last":
        every = (None, None, None)
        return network.add("getitem", value, "head/last", index=(every, every, -1))
    return network.add("mean" if kind == "mean" else "amax", value, f"head/{kind}", dim=2)


@lru_cache(maxsize=16384)
def _node(op: str, label: str, **attributes: Any) -> Node:
    made = node(op, **attributes)
    return Node(made.op, made.attributes, label)


space = SearchSpace("sequence_net", define, shapes=Shapes((1, 40), (10,)))
