"""From a user's own PyTorch module to a graph, and its weights to the module built from that."""

from spaces.trace.describing import describe
from spaces.trace.state import copy_state
from spaces.trace.tracing import trace
from spaces.trace.watching import watch

__all__ = ["copy_state", "describe", "trace", "watch"]
