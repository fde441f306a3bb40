"""Searches in several levels: part after part, part inside part, or from coarse to fine."""

from nas.flows.flows import Flow, joint, nested, separate
from nas.flows.hierarchy import Refinement, hierarchical, refinement
from nas.flows.loop import Level

__all__ = [
    "Flow",
    "Level",
    "Refinement",
    "hierarchical",
    "joint",
    "nested",
    "refinement",
    "separate",
]
