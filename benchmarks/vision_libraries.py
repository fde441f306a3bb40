"""Imports torchvision and timm, also where torchvision's own operators are missing.

torchvision from the package index registers fake kernels for operators that its wheel does not
bring to a CPU build of torch, and its import fails. The registration is set aside meanwhile.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def vision_library(name: str) -> ModuleType:
    """The library `torchvision` or `timm`, or a module of one.

    Raises:
        ImportError: it is not installed.
    """
    import torch

    library: Any = torch.library
    register = library.register_fake
    library.register_fake = lambda *args, **options: lambda function: function
    try:
        importlib.import_module("torchvision")
    finally:
        library.register_fake = register
    return importlib.import_module(name)
