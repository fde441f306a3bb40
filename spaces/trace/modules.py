"""How the torch.nn modules that a user calls become operations of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from spaces.ops.generic import constructor_defaults
from spaces.ops.operation import REQUIRED, Op
from spaces.ops.shapes import Shape, shown
from spaces.ops.vocabulary import OPS
from spaces.trace.attributes import short
from spaces.trace.untraceable import Untraceable


def module_node(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The name of the operation of a torch.nn module, and its attributes.

    Raises:
        Untraceable: the vocabulary has no such operation.
    """
    op = _ops_by_class().get(type(module))
    if op is None:
        return _unlisted_module(module)
    _check_module(module)
    attributes = {
        name: _read(module, name, default)
        for name, default in op.defaults.items()
        if name != "bias"
    }
    if "bias" in op.defaults:
        attributes["bias"] = _has_bias(module)
    if attributes.get("groups", 1) != 1 and attributes["groups"] == module.in_channels:
        attributes["groups"] = "in_channels"
    if op.name == "layer_norm" and len(attributes["normalized_shape"]) == 1:
        attributes["normalized_shape"] = None
    return op.name, attributes


@lru_cache(maxsize=1)
def _ops_by_class() -> dict[type, Op]:
    return {getattr(nn, op.torch_class): op for op in OPS.values() if op.torch_class is not None}


def _read(module: nn.Module, name: str, default: Any) -> Any:
    # While a module is traced, its attribute of a parameter is the parameter's node.
    own, held = module.__dict__, module._parameters
    if name in own:
        value = own[name]
    else:
        value = held[name] if name in held else getattr(module, name, default)
    if value is REQUIRED:
        raise Untraceable(
            f"nn.{type(module).__name__} does not keep its argument {name!r}, so it cannot be "
            "rebuilt"
        )
    if (value is None or isinstance(value, torch.Tensor)) and isinstance(default, bool):
        return value is not None
    return short(name, value)


def _has_bias(module: nn.Module) -> bool:
    held = module._parameters
    if isinstance(module, nn.MultiheadAttention):
        return held["in_proj_bias"] is not None
    return held.get("bias") is not None or not getattr(module, "elementwise_affine", True)


def _check_module(module: nn.Module) -> None:
    if isinstance(module, nn.MultiheadAttention):
        if not module.batch_first:
            raise Untraceable(
                "nn.MultiheadAttention must be made with batch_first=True, since the batch is "
                "the first dimension here"
            )
        if not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
            raise Untraceable(
                "nn.MultiheadAttention with kdim, vdim, add_bias_kv or add_zero_attn has no "
                "place in the vocabulary"
            )
    if getattr(module, "return_indices", False):
        raise Untraceable(
            f"nn.{type(module).__name__} with return_indices=True gives two values; only one can "
            "be traced"
        )
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        raise Untraceable("nn.Embedding with max_norm has no place in the vocabulary")


def _unlisted_module(module: nn.Module) -> tuple[str, dict[str, Any]]:
    name = type(module).__name__
    if isinstance(module, nn.RNNBase):
        raise Untraceable(
            f"nn.{name} is a recurrent layer, which has no place in a graph: use nn.Conv1d or "
            "nn.MultiheadAttention over the steps instead"
        )
    if getattr(nn, name, None) is not type(module):
        raise Untraceable(
            f"{type(module).__module__}.{name} has no place in the vocabulary: remove "
            "parametrizations, or write its forward in a module of yours"
        )
    attributes = {
        argument: _read(module, argument, default)
        for argument, default in constructor_defaults(type(module)).items()
    }
    return f"nn.{name}", attributes


def attention_inputs(
    query: Any, key: Any, value: Any, *others: Any, **options: Any
) -> tuple[Any, ...]:
    """The one or three tensors that `nn.MultiheadAttention` is called with.

    Raises:
        Untraceable: there is a mask.
    """
    names = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
    given = {**dict(zip(names, others, strict=False)), **options}
    masks = [given.get(name) for name in ("key_padding_mask", "attn_mask", "is_causal")]
    if any(mask is not None and mask is not False for mask in masks):
        raise Untraceable(
            "nn.MultiheadAttention is traced without masks: use F.scaled_dot_product_attention "
            "with is_causal=True or a mask"
        )
    return (query,) if query is key and key is value else (query, key, value)


def check_made_for(module: Any, shape: Shape) -> None:
    """Checks that the sizes inferred from the input's shape are those of the module.

    Raises:
        Untraceable: the module was made for another number of channels or features.
    """
    for name, place in _MADE_FOR:
        wanted = module.__dict__.get(name)
        if wanted is not None and len(shape) > place and shape[place] != wanted:
            raise Untraceable(
                f"{module} was made for {name}={wanted} and gets a tensor of the shape "
                f"{shown(shape)}"
            )


_MADE_FOR = (
    ("in_channels", 1),
    ("num_features", 1),
    ("num_channels", 1),
    ("in_features", -1),
    ("embed_dim", -1),
)


def encoder_layer(layer: nn.TransformerEncoderLayer, x: Any) -> Any:
    """The layer's equation, computed by its members.

    It is x + Attention(Norm(x)), then x + MLP(Norm(x)) if `norm_first`; else the norms are behind
    the sums.
    """

    def attend(value: Any) -> Any:
        return layer.dropout1(layer.self_attn(value, value, value, need_weights=False)[0])

    def transform(value: Any) -> Any:
        return layer.dropout2(layer.linear2(layer.dropout(layer.activation(layer.linear1(value)))))

    if layer.norm_first:
        x = x + attend(layer.norm1(x))
        return x + transform(layer.norm2(x))
    x = layer.norm1(x + attend(x))
    return layer.norm2(x + transform(x))


def encoder(module: nn.TransformerEncoder, x: Any) -> Any:
    """All layers, then the norm if there is one."""
    for layer in module.layers:
        x = layer(x)
    return x if module.norm is None else module.norm(x)


COMPOSITES: Mapping[type, Callable[[Any, Any], Any]] = {
    nn.TransformerEncoderLayer: encoder_layer,
    nn.TransformerEncoder: encoder,
}
