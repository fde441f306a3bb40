"""From a user's own PyTorch module to a graph, and its weights to the module built from that."""

from spaces.trace.state import copy_state
from spaces.trace.tracing import trace

__all__ = ["copy_state", "trace"]
