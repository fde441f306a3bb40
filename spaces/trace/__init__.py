"""From a user's own PyTorch module to a graph, and its weights into the module built from it."""

from spaces.trace.recording import copy_state, trace

__all__ = ["copy_state", "trace"]
