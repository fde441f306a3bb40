"""Reads a safetensors file with torch and the standard library alone. An exported `model.py`
carries the text of this very function.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name. The file: eight bytes that give the length of a JSON header, the header,
    then the tensors' bytes.
    """
    types = {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "BOOL": torch.bool,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
    }
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise ValueError(
            f"{path} is not a safetensors file, or not all of it: its header should end at byte "
            f"{start}, the file ends at {len(content)}"
        )
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    everything = torch.frombuffer(content, dtype=torch.uint8)
    tensors = {}
    for name, entry in header.items():
        dtype, shape = types[entry["dtype"]], entry["shape"]
        first, last = (start + offset for offset in entry["data_offsets"])
        if last > len(content) or last - first != math.prod(shape) * dtype.itemsize:
            raise ValueError(
                f"{path} is damaged: the tensor {name} of shape {shape} should be the bytes "
                f"{first} to {last} of {len(content)}"
            )
        tensors[name] = everything[first:last].clone().view(dtype).reshape(shape)
    return tensors
