"""Gradients by finite differences, with which the gradients of losses are compared."""

from collections.abc import Callable

import numpy as np


def finite_differences(
    value: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    """(P,) the central differences of a function at a point (P,), over two steps."""
    shifts = step * np.eye(len(point))
    return np.array(
        [(value(point + shift) - value(point - shift)) / (2 * step) for shift in shifts]
    )
