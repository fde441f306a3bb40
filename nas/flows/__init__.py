"""Search flows: all decisions at once, one part after the other, or one part inside the other."""

from nas.flows.flows import Flow, joint, nested, separate
from nas.flows.loop import Level

__all__ = ["Flow", "Level", "joint", "nested", "separate"]
