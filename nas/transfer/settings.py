"""The settings of weight transfer: how tensors are copied, and how similar a donor must be.

They are part of a configuration. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

Rule = Literal["exact", "ordered", "projection"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class TransferSettings:
    """The weights with which a training of the search starts.

    Attributes:
        rule: how a tensor is copied whose sizes differ. `exact`: not at all; `ordered`: the leading
            part that both tensors have; `projection`: by a Gaussian random projection to the new
            sizes. See `copying.inherited`.
        least: the smallest overlap (`copying.overlap`) with which an architecture takes over the
            weights of another one.

    Raises:
        ValueError: a value is out of its range.
    """

    # A configuration with an unknown key is refused.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    rule: Rule = "exact"
    least: float = 0.8

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"a transfer's rule is one of {', '.join(RULES)}; got {self.rule!r}")
        if not 0 < self.least <= 1:
            raise ValueError(
                "a transfer's least is a share of the tensors, above 0 and at most 1; got "
                f"{self.least!r}"
            )
