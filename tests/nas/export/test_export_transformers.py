"""A transformer with every operation is exported as a plain module and as ONNX."""

from __future__ import annotations

import pytest
import torch

from nas.export.formats import NEEDED, Format, module_source, write_module, write_onnx
from nas.export.verify import cases, verify
from spaces.build import build
from spaces.flexibert import Layer, describe, network
from spaces.ops.tokens import vocabulary
from spaces.space import Shapes

TEXTS = Shapes((20,), (3,), vocabulary=50)
MIXED = describe(
    (
        Layer(24, ("c_3", "l_dct", "l_dft", "sa_sdp"), (32,)),
        Layer(16, ("l_dft", "sa_wma"), (32, 16)),
    ),
    mixed=True,
)


@pytest.mark.parametrize("format_name", ["module", "onnx"])
def test_a_transformer_works_without_the_library(format_name: Format, tmp_path):
    for package in NEEDED[format_name]:
        pytest.importorskip(package)
    graph = network(MIXED, TEXTS)
    torch.manual_seed(0)
    module = build(graph, TEXTS.input)
    batches = cases(module, graph, TEXTS.input, None)
    assert vocabulary(graph) == 50
    assert {tokens.dtype for tokens in batches.inputs} == {torch.int64}
    if format_name == "module":
        write_module(tmp_path, module_source(graph, TEXTS.input, preprocessing=None), module)
    else:
        write_onnx(tmp_path, module, batches.inputs[1])
    assert verify(format_name, tmp_path, batches) < 1e-5
