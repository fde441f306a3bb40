"""Runs whose architectures an agent outside proposes, a reinforcement learner, an ant colony,
anybody's program, by Gymnasium's contract.
"""

from nas.outside.environment import Rules, SearchEnvironment, Step
from nas.outside.rewards import Target, product_of_ratios, sum_of_excess

__all__ = ["Rules", "SearchEnvironment", "Step", "Target", "product_of_ratios", "sum_of_excess"]
