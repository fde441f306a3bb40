"""The latency of a network on a device, with its error.

`timing` and `settings` do not import torch; `measuring` does and is imported where it is used.
"""

from nas.latency.settings import LatencySettings
from nas.latency.timing import Timing, time_passes

__all__ = ["LatencySettings", "Timing", "time_passes"]
