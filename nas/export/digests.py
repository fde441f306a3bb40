"""Digests of the files of an export, which change with every byte of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """For each file's name its BLAKE2b digest of 128 bits, as `b2sum -l 128` prints it."""
    found = {}
    for path in sorted(paths):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, _blake2b).hexdigest()
    return found


def _blake2b() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
