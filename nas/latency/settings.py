"""What is measured, and how exactly: a frozen value that a configuration may hold. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LatencySettings:
    """How a network's latency is measured.

    Attributes:
        batch_size: samples in a pass.
        device: `auto` (in a search the device that trained the network), `cpu`, `cuda` or `cuda:1`.
        threads: of torch on the CPU. One is what is steadiest.
        within: the share of the median that the 95 % interval may reach to each side.
        limit: seconds after which it is no longer waited for that; at least ten passes are timed
            all the same.

    Raises:
        ValueError: a value is out of its range.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {
        "extra": "forbid"
    }  # A config that misspells a field is told so.

    batch_size: int = 1
    device: str = "auto"
    threads: int = 1
    within: float = 0.02
    limit: float = 5.0

    def __post_init__(self) -> None:
        rules = (
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("threads", self.threads >= 1, "at least 1"),
            ("within", 0 < self.within < 1, "a share of the latency, above 0 and below 1"),
            ("limit", 0 < self.limit < float("inf"), "a number of seconds above 0"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ValueError(f"a latency's {name} is {expected}; got {getattr(self, name)!r}")
