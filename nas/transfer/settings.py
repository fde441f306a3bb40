"""How weights are taken over, and from how like a network: a frozen value that a configuration may
hold. Knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

Rule = Literal["exact", "ordered", "projection"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class TransferSettings:
    """Whose weights a training of the search begins with.

    Attributes:
        rule: what becomes of a tensor whose sizes differ: `exact`: it starts fresh; `ordered`: the
            leading part that both have is copied; `projection`: a Gaussian random projection brings
            it to the new sizes. See `copying.inherited`.
        least: the overlap (`copying.overlap`) that an architecture needs with the one whose weights
            it takes.

    Raises:
        ValueError: a value is out of its range.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {
        "extra": "forbid"
    }  # A config that misspells a field is told so.

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
