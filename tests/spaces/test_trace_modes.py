"""Dropout may depend on the mode of a traced module; nothing else may."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spaces.build import build
from spaces.trace import copy_state, trace


class Modal(nn.Module):
    def __init__(self, program):
        super().__init__()
        self.program, self.share = program, 0.5
        self.drop, self.linear = nn.Dropout(0.5), nn.Linear(4, 4)

    def forward(self, x):
        return self.program(self.linear(x), self, self.training)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, m, training: F.dropout(x, 0.5, training=training),
        lambda x, m, training: m.drop(x) if training else x,
        lambda x, m, training: F.scaled_dot_product_attention(
            x, x, x, dropout_p=m.share if training else 0.0
        ),
    ],
)
def test_dropout_may_depend_on_the_mode(program):
    module = Modal(program)
    built = build(trace(module, (6, 4)))
    copy_state(module, built)
    inputs = torch.randn(3, 6, 4)
    for mode in (True, False):
        module.train(mode), built.train(mode)
        torch.manual_seed(0)
        expected = module(inputs)
        torch.manual_seed(0)
        torch.testing.assert_close(built(inputs), expected)


@pytest.mark.parametrize("mode", [True, False])
def test_a_module_that_computes_something_else_in_evaluation_is_refused(mode):
    module = Modal(lambda x, m, training: x if training else x.softmax(-1)).train(mode)
    module.drop.eval()
    with pytest.raises(
        ValueError, match=r"something else in evaluation.*test_trace_modes\.py:\d+, Modal\.forward"
    ):
        trace(module, (6, 4))
    assert (module.training, module.drop.training) == (mode, False)
