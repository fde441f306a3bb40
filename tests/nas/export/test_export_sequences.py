"""A network of sequence_net with each block of its last stage is exported in every format."""

from __future__ import annotations

from random import Random

import pytest
import torch

from nas.export.formats import (
    NEEDED,
    Format,
    module_source,
    write_module,
    write_onnx,
    write_pt2,
)
from nas.export.verify import cases, verify
from spaces import Shapes
from spaces.operators import fix, sample
from spaces.sequence_net import space

# Short, because an exported recurrent layer is written out step by step.
CURVES = Shapes((1, 16), (10,))
# Both kinds of block that look at all points, and each of the norms' and heads' special texts.
HELD = {
    "stage3/depth": 2,
    "stage3/block1/op": "gru",
    "stage3/block1/bidirectional": True,
    "stage3/block2/op": "attention",
    "stage3/block2/heads": 2,
    "stage1/depth": 2,
    "stage1/block1/op": "separable",
    "stage1/block1/dilation": 4,
    "stage1/block2/op": "conv",
    "norm": "layer",
    "head/readout": "last",
    "head/dropout": 0.1,
}


@pytest.mark.parametrize("format_name", ["module", "pt2", "onnx"])
def test_it_works_without_the_library(format_name: Format, tmp_path):
    for package in NEEDED[format_name]:
        pytest.importorskip(package)
    served = fix(space.for_shapes(CURVES), HELD)
    architecture = sample(served, Random(0))
    graph = served.graph(architecture)
    torch.manual_seed(0)
    module = served.build(architecture)
    batches = cases(module, graph, CURVES.input, None)
    if format_name == "module":
        write_module(tmp_path, module_source(graph, CURVES.input, preprocessing=None), module)
    elif format_name == "pt2":
        write_pt2(tmp_path, module, batches.inputs[1])
    else:
        write_onnx(tmp_path, module, batches.inputs[1])
    assert verify(format_name, tmp_path, batches) < 1e-5
