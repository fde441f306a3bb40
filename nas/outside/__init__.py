"""Runs whose architectures an agent outside proposes, through Gymnasium's interface.

The agent may be a reinforcement learner, an ant colony, or any other program.
"""

from nas.outside.environment import SearchEnvironment, Step
from nas.outside.rewards import Target, product_of_ratios, sum_of_excess
from nas.outside.rules import Rules

__all__ = ["Rules", "SearchEnvironment", "Step", "Target", "product_of_ratios", "sum_of_excess"]
