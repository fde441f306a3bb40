"""The settings of a latency measurement, which are part of a configuration.

This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LatencySettings:
    """The settings of a latency measurement.

    Attributes:
        batch_size: samples in a forward pass.
        device: `auto` (in a search the device that trained the network), `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads of torch. Latencies vary least with one thread.
        within: passes are repeated until the half-width of the 95 % confidence interval is at most
            this share of the median.
        limit: seconds after which the repetitions end in any case, but at least ten passes are
            timed.

    Raises:
        ValueError: a value is out of its range.
    """

    # A configuration with an unknown key is refused.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

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
