"""The operations that a network holds as modules: convolutions, norms and other layers."""

from __future__ import annotations

from typing import Any

from spaces.ops import count_rules as counts
from spaces.ops import elementwise_rules as elementwise
from spaces.ops import matrix_rules as matrices
from spaces.ops import sequence_rules as sequences
from spaces.ops import spatial_rules as spatial
from spaces.ops import text_rules as text
from spaces.ops.operation import REQUIRED, Op

_WINDOW = {"out_channels": REQUIRED, "kernel_size": REQUIRED, "stride": 1, "padding": 0}
_CONVOLUTION = {**_WINDOW, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
_TRANSPOSED = {**_WINDOW, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1}
_BATCH_NORM = {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
_INSTANCE_NORM = {**_BATCH_NORM, "affine": False, "track_running_stats": False}
_GROUP_NORM = {"num_groups": REQUIRED, "eps": 1e-5, "affine": True}
_LAYER_NORM = {"normalized_shape": None, "eps": 1e-5, "elementwise_affine": True, "bias": True}
_EMBEDDING = {"num_embeddings": REQUIRED, "embedding_dim": REQUIRED, "padding_idx": None}


def convolutions() -> list[Op]:
    """Convolutions and transposed convolutions of one to three spatial dimensions."""
    shared: dict[str, Any] = {
        "constructed": True,
        "inferred": text.in_channels,
        "parameters": counts.convolution_parameters,
    }
    plain = [
        Op(
            f"conv{n}d",
            spatial.convolution(n),
            _CONVOLUTION,
            torch_class=f"Conv{n}d",
            multiply_adds=counts.convolution_multiply_adds,
            **shared,
        )
        for n in (1, 2, 3)
    ]
    transposed = [
        Op(
            f"conv_transpose{n}d",
            spatial.transposed_convolution(n),
            _TRANSPOSED,
            torch_class=f"ConvTranspose{n}d",
            multiply_adds=counts.transposed_multiply_adds,
            **shared,
        )
        for n in (1, 2, 3)
    ]
    return [*plain, *transposed]


def norms() -> list[Op]:
    """Batch, instance, group and layer norm."""
    shared: dict[str, Any] = {
        "constructed": True,
        "inferred": text.in_channels,
        "parameters": counts.norm_parameters,
    }
    batch = [
        Op(
            f"batch_norm{n}d",
            elementwise.normalization((0, 1) if n == 1 else (n,)),
            _BATCH_NORM,
            torch_class=f"BatchNorm{n}d",
            **shared,
        )
        for n in (1, 2, 3)
    ]
    instance = [
        Op(
            f"instance_norm{n}d",
            elementwise.normalization((n,)),
            _INSTANCE_NORM,
            torch_class=f"InstanceNorm{n}d",
            **shared,
        )
        for n in (1, 2)
    ]
    group = Op(
        "group_norm",
        elementwise.normalization((2, 0, 1, 3)),
        _GROUP_NORM,
        torch_class="GroupNorm",
        constructor=text.group_norm_constructor,
        **shared,
    )
    layer = Op(
        "layer_norm",
        elementwise.layer_norm,
        _LAYER_NORM,
        torch_class="LayerNorm",
        constructor=text.layer_norm_constructor,
        **{**shared, "parameters": counts.layer_norm_parameters},
    )
    return [*batch, *instance, group, layer]


def other_layers() -> list[Op]:
    """Linear layers, embeddings, attention, recurrent layers, PReLU and dropout."""
    linear = Op(
        "linear",
        matrices.linear,
        {"out_features": REQUIRED, "bias": True},
        torch_class="Linear",
        constructed=True,
        inferred=text.in_features,
        parameters=counts.linear_parameters,
        multiply_adds=counts.linear_multiply_adds,
    )
    embedding = Op(
        "embedding",
        matrices.embedding,
        _EMBEDDING,
        torch_class="Embedding",
        constructed=True,
        parameters=counts.embedding_parameters,
    )
    attention = Op(
        "multihead_attention",
        sequences.attention_module,
        {"num_heads": REQUIRED, "dropout": 0.0, "bias": True},
        most=3,
        ordered=True,
        torch_class="MultiheadAttention",
        constructed=True,
        call=text.attention_module,
        constructor=text.attention_constructor,
        parameters=counts.attention_module_parameters,
        multiply_adds=counts.attention_module_multiply_adds,
    )
    # torch's own class gives two values, so this operation has none that a trace could find.
    gru = Op(
        "gru",
        sequences.recurrent,
        {"hidden_size": REQUIRED, "bidirectional": False},
        constructed=True,
        call=text.recurrent_module,
        constructor=text.gru_constructor,
        parameters=counts.gru_parameters,
        multiply_adds=counts.gru_multiply_adds,
    )
    prelu = Op(
        "prelu",
        elementwise.same,
        {"num_parameters": 1, "init": 0.25},
        torch_class="PReLU",
        constructed=True,
        parameters=lambda attributes, inputs: attributes["num_parameters"],
    )
    dropouts = [
        Op(name, elementwise.same, {"p": 0.5}, torch_class=torch_class, constructed=True)
        for name, torch_class in [
            ("dropout", "Dropout"),
            ("dropout1d", "Dropout1d"),
            ("dropout2d", "Dropout2d"),
            ("dropout3d", "Dropout3d"),
            ("alpha_dropout", "AlphaDropout"),
        ]
    ]
    return [linear, embedding, attention, gru, prelu, *dropouts]
