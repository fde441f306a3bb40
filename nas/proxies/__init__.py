"""Zero-cost proxies: what an untrained network and one batch tell about how well it would train.
Each is `score(module, batch) -> float`.
"""

from __future__ import annotations

import difflib

from nas.proxies.batch import Batch, noise_batch, task_batch
from nas.proxies.scores import (
    Proxy,
    gradient_norm,
    jacobian_covariance,
    multiply_adds,
    naswot,
    parameters,
    snip,
    synflow,
)
from spaces import Shapes

__all__ = [
    "PROXIES",
    "Batch",
    "Proxy",
    "known_proxies",
    "noise_batch",
    "suiting_proxies",
    "task_batch",
]

PROXIES: dict[str, Proxy] = {
    "synflow": synflow,
    "naswot": naswot,
    "jacobian_covariance": jacobian_covariance,
    "gradient_norm": gradient_norm,
    "snip": snip,
    "parameters": parameters,
    "multiply_adds": multiply_adds,
}

# Those that need the gradient of the inputs.
_OF_INPUTS = ("jacobian_covariance",)


def suiting_proxies(shapes: Shapes) -> tuple[str, ...]:
    """All that networks of these shapes can be asked: where the inputs are tokens, those without
    the gradient of the inputs.
    """
    return tuple(name for name in PROXIES if shapes.vocabulary is None or name not in _OF_INPUTS)


def known_proxies(text: str) -> tuple[str, ...]:
    """The names in a list with commas, each once, in its order.

    Raises:
        ValueError: there is no proxy of such a name; the message lists those there are.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in PROXIES:
            near = difflib.get_close_matches(name, PROXIES, 1)
            raise ValueError(
                f"no proxy is called {name!r}{f'; did you mean {near[0]!r}?' if near else '.'} "
                f"Known: {', '.join(PROXIES)}"
            )
    if not names:
        raise ValueError(
            f"name at least one proxy, with commas between; known: {', '.join(PROXIES)}"
        )
    return names
