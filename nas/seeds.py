"""Seeds derived from (seed, purpose, counter), so that adding one draw to a run moves no other."""

from __future__ import annotations

import hashlib
import json
import random


def derive(seed: int, purpose: str, counter: int = 0) -> int:
    """A seed of 63 bits that depends on the three arguments alone.

    It is the same in every process, on every machine and in every version of Python. It fits a
    signed 64-bit integer, which the generators of torch and numpy require.

    >>> derive(0, "trial")
    9147118340376974718
    """
    text = json.dumps([int(seed), purpose, int(counter)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, counter: int = 0) -> random.Random:
    """A new generator that starts at `derive(seed, purpose, counter)`."""
    return random.Random(derive(seed, purpose, counter))
