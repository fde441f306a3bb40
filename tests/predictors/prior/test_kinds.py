"""Which kind an operation has, by its name alone."""

from __future__ import annotations

import pytest
from torch import nn

from predictors.prior.kinds import KINDS, kinds_of
from spaces.ops.vocabulary import OPS

LAYERS = {
    "Conv": "convolution",
    "Norm": "normalisation",
    "MaxPool": "max_pool",
    "AvgPool": "average_pool",
    "Upsampl": "resampling",
    "Dropout": "",
    "Linear": "linear",
    "LSTM": "recurrent",
    "GRU": "recurrent",
    "RNN": "recurrent",
    "ReLU": "rectifier",
}


def kind(name: str) -> str:
    return "+".join(sorted(kinds_of(name)))


@pytest.mark.parametrize("part", LAYERS)
def test_the_layers_of_torch_are_of_the_kind_that_a_word_of_their_name_says(part: str) -> None:
    names = [name for name in dir(nn) if part in name and "Adaptive" not in name]
    assert names
    for name in names:
        assert kind(f"nn.{name}") == kind(f"observed:nn.{name}") == LAYERS[part], name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        # Words within words, or behind the word that matters.
        ("nn.UpsamplingBilinear2d", "resampling"),
        ("observed:aten.upsample_trilinear3d", "resampling"),
        ("nn.Bilinear", "linear"),
        ("nn.PixelUnshuffle", "resampling"),
        ("nn.ReplicationPad2d", "other"),
        ("observed:aten.replication_pad2d", "other"),
        ("function:torch.scatter", "other"),
        ("observed:aten.scatter_add", "other"),
        ("observed:aten.prims::convert_element_type", "other"),
        ("observed:aten.normal_functional", "other"),
        ("function:torch.atanh", "other"),
        ("observed:aten.fft_fftshift", "other"),
        ("nn.CosineEmbeddingLoss", "other"),
        # One operation is of one kind, however it is written.
        ("nn.PReLU", "rectifier"),
        ("function:torch.rrelu", "rectifier"),
        ("observed:aten._prelu_kernel", "rectifier"),
        ("observed:aten.log_sigmoid_forward", "smooth_activation"),
        ("nn.LogSigmoid", "smooth_activation"),
        ("nn.SiLU", "smooth_activation"),
        ("nn.LPPool1d", "average_pool"),
        ("function:torch.nn.functional.lp_pool2d", "average_pool"),
        ("nn.AdaptiveMaxPool1d", "global_pool"),
        ("observed:aten._adaptive_avg_pool2d", "global_pool"),
        ("nn.MaxUnpool2d", "resampling"),
        ("observed:aten.max_unpool2d", "resampling"),
        ("nn.MultiheadAttention", "attention"),
        ("function:torch.nn.functional.multi_head_attention_forward", "attention"),
        ("observed:aten.addmm", "linear"),
        ("observed:aten.baddbmm", "attention"),
        ("function:torch.linalg.vector_norm", "other"),
        ("observed:aten.linalg_vector_norm", "other"),
        ("observed:aten.native_layer_norm", "normalisation"),
        ("function:torch.nn.functional.normalize", "normalisation"),
        ("function:torch.fft.irfft2", "transform"),
        ("observed:aten.fft_rfft2", "transform"),
        ("function:torch.Tensor.mul", "product"),
        ("observed:aten.cat", "concatenation"),
        ("function:torch.column_stack", "concatenation"),
        ("observed:moved", ""),
        ("observed:input", "input"),
    ],
)
def test_whole_words_of_a_name_say_the_kind(name: str, wanted: str) -> None:
    assert kind(name) == wanted


def test_every_kind_is_that_of_some_operation() -> None:
    found = {kind(name) for name in (*OPS, "output", "observed:nn.LSTM", "observed:input")}
    assert found == {*KINDS, ""}
