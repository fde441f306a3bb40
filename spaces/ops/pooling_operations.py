"""The operations without weights that change spatial sizes: pooling, resizing and padding."""

from __future__ import annotations

from typing import Any

from spaces.ops import spatial_rules as spatial
from spaces.ops import text_rules as text
from spaces.ops.operation import REQUIRED, Op
from spaces.ops.shapes import Rule

_WINDOW = {"kernel_size": REQUIRED, "stride": None, "padding": 0}
_MAX_POOL = {**_WINDOW, "dilation": 1, "ceil_mode": False}
_AVG_POOL = {**_WINDOW, "ceil_mode": False, "count_include_pad": True}
_ADAPTIVE_POOL = {"output_size": REQUIRED}
_INTERPOLATE = {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": None}
_PIXEL_SHUFFLE = {"upscale_factor": REQUIRED}
_PAD = {"pad": REQUIRED, "mode": "constant", "value": None}


def pools() -> list[Op]:
    """Pooling of one to three spatial dimensions, then resizing and padding."""
    result = []
    for n in (1, 2, 3):
        average = _AVG_POOL if n == 1 else {**_AVG_POOL, "divisor_override": None}
        pooling, adaptive = spatial.pooling(n), spatial.adaptive_pooling(n)
        result += [
            _pool(f"max_pool{n}d", f"MaxPool{n}d", pooling, _MAX_POOL),
            _pool(f"avg_pool{n}d", f"AvgPool{n}d", pooling, average),
            _pool(f"adaptive_avg_pool{n}d", f"AdaptiveAvgPool{n}d", adaptive, _ADAPTIVE_POOL),
            _pool(f"adaptive_max_pool{n}d", f"AdaptiveMaxPool{n}d", adaptive, _ADAPTIVE_POOL),
        ]
    interpolate = Op(
        "interpolate",
        spatial.interpolation,
        _INTERPOLATE,
        torch_class="Upsample",
        call=text.function("", "nn.functional.interpolate", _INTERPOLATE),
    )
    shuffle = Op(
        "pixel_shuffle",
        spatial.pixel_shuffling,
        _PIXEL_SHUFFLE,
        torch_class="PixelShuffle",
        call=text.function("", "nn.functional.pixel_shuffle", _PIXEL_SHUFFLE),
    )
    pad = Op("pad", spatial.padding, _PAD, call=text.function("", "nn.functional.pad", _PAD))
    zero_pad = Op(
        "zero_pad2d",
        spatial.zero_padding2d,
        {"padding": REQUIRED},
        torch_class="ZeroPad2d",
        call=text.zero_pad2d,
    )
    return [*result, interpolate, shuffle, pad, zero_pad]


def _pool(name: str, torch_class: str, infer: Rule, defaults: dict[str, Any]) -> Op:
    call = text.function(name, f"nn.functional.{name}", defaults)
    return Op(name, infer, defaults, torch_class=torch_class, call=call)
