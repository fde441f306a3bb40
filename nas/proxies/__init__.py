"""Zero-cost proxies: scores of untrained networks on one batch, and their size and latency.

A proxy is a function `score(module, batch) -> float`. It is meant to predict how well the network
would train. `nas.proxies.profiling` measures the latency of untrained networks.
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
from spaces.structure import leaves

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

# The proxies that need the gradient with respect to the inputs, which tokens do not have.
_OF_INPUTS = ("jacobian_covariance",)


def suiting_proxies(shapes: Shapes) -> tuple[str, ...]:
    """The names of all proxies that can be computed for networks of these shapes.

    If all inputs are tokens, the proxies that need the inputs' gradient are left out.
    """
    tokens = None not in leaves(shapes.vocabularies)
    return tuple(name for name in PROXIES if not tokens or name not in _OF_INPUTS)


def known_proxies(text: str) -> tuple[str, ...]:
    """The proxy names in a comma-separated list, each once and in the order of the list.

    Raises:
        ValueError: a name is unknown (the message lists the known ones), or the list is empty.
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
