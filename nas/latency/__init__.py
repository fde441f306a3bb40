"""How long a network takes on a device, with its error. `timing` and `settings` know no torch;
`measuring` is imported where it is used.
"""

from nas.latency.settings import LatencySettings
from nas.latency.timing import Timing, time_passes

__all__ = ["LatencySettings", "Timing", "time_passes"]
