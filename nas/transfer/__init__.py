"""Weight transfer: a training starts with the weights of a similar, already trained architecture.

`settings` and `matching` do not import torch; `copying` does and is imported where it is used.
"""

from nas.transfer.matching import counterparts
from nas.transfer.settings import RULES, Rule, TransferSettings

__all__ = ["RULES", "Rule", "TransferSettings", "counterparts"]
