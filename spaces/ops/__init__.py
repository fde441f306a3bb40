"""The vocabulary: the primitive operations of a graph, with their shapes, costs and PyTorch text.

Attributes are torch's own constructor or function arguments with torch's defaults. Numbers that
follow from the input's shape (`in_channels`, `num_features`, ...) are never attributes. As a number
of channels or groups, "in_channels" stands for the number of input channels, so a depthwise
convolution is `conv2d(groups="in_channels", ...)`. `dim` counts the batch, as in torch; in `shape`
the word "batch" stands for the batch size. Every operation that makes a module takes the attribute
`share`: nodes of one operation and one `share` share their weights.

    OPS["conv2d"]                        an operation
    find("nn.Hardshrink")                any other torch.nn module
    find("function:torch.roll")          any other function that torch allows to override
    infer_shapes(graph), costs(graph)    shapes and costs of a network that is not built
"""

from spaces.ops.counting import Costs, costs, needed, node_costs
from spaces.ops.finding import find, settings
from spaces.ops.inference import infer, infer_shapes, whole_shapes
from spaces.ops.operation import REQUIRED, Op, literal
from spaces.ops.vocabulary import OPS

__all__ = [
    "OPS",
    "REQUIRED",
    "Costs",
    "Op",
    "costs",
    "find",
    "infer",
    "infer_shapes",
    "literal",
    "needed",
    "node_costs",
    "settings",
    "whole_shapes",
]
