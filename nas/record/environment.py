"""Where a run was made: versions and hardware, for whoever reads its results."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "surrogate-nas",
    "torch",
    "torch-geometric",
    "numpy",
    "scikit-learn",
    "scipy",
    "networkx",
)


def environment() -> dict[str, Any]:
    """The versions of Python and of the main packages, the system and its processors.

    No person, path or host is named.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
