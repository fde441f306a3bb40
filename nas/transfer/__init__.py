"""A training that begins with the weights of a neighbouring architecture. `settings` and `matching`
know no torch; `copying` is imported where it is used.
"""

from nas.transfer.matching import counterparts
from nas.transfer.settings import RULES, Rule, TransferSettings

__all__ = ["RULES", "Rule", "TransferSettings", "counterparts"]
