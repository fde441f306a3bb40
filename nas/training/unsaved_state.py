"""State of a module in training that a checkpoint does not hold.

A checkpoint holds parameters, buffers and torch's global generators. A user's module may also count
its steps in a plain attribute, or draw from Python's and numpy's generators. A training that paused
with such state would go on differently, so it starts over instead.
"""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from torch import nn

from spaces.plain_values import OF_MODULES, digest_of, plain_value

_OWN_GENERATORS = (
    *(torch.Generator, random.Random),
    *(numpy.random.Generator, numpy.random.RandomState),
)


def unsaved_state(module: nn.Module) -> Any:
    """The state, as a value that is equal while nothing changes; None if it cannot be seen.

    It is that of the module's plain attributes and of the global generators of Python and numpy. A
    generator of the module's own cannot be seen.
    """
    attributes = list[Any]()
    for name, part in module.named_modules():
        own = {key: value for key, value in vars(part).items() if key not in OF_MODULES}
        if any(isinstance(value, _OWN_GENERATORS) for value in own.values()):
            return None
        attributes.append((name, plain_value(dict(sorted(own.items())), digest_of)))
    drawn = plain_value(numpy.random.get_state(legacy=False), digest_of)
    return attributes, random.getstate(), drawn
