"""The task `sequences`: noisy curves of ten shapes, generated from a seed; nothing is downloaded.

In the manner of MNIST-1D (Greydanus and Kobak 2024, Scaling down deep learning): a template of a
dozen points is stretched, padded, scaled, sheared, and noise is added. The templates and the
amounts are this project's own. A small network trains on it in a few seconds on one core, and its
architecture decides how well.
"""

from __future__ import annotations

import math

import numpy
import torch

from nas.seeds import derive
from nas.tasks.task import Split, Task
from spaces import Shapes

LENGTH = 40
# The classes share their parts (peaks, valleys, ramps, plateaus) and differ in the order and the
# distance of these. So a network has to see a whole curve, wherever it lies.
TEMPLATES = {
    "peak, valley": (0.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, -0.5, -1.0, -0.5, 0.0),
    "valley, peak": (0.0, -0.5, -1.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.5, 0.0),
    "near peaks": (0.0, 0.2, 0.6, 1.0, 0.5, 0.0, 0.0, 0.5, 1.0, 0.6, 0.2, 0.0),
    "far peaks": (0.0, 1.0, 0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.2, 0.6, 1.0, 0.0),
    "peak, valley, peak": (0.0, 0.5, 1.0, 0.5, 0.0, -1.0, -1.0, 0.0, 0.5, 1.0, 0.5, 0.0),
    "valley, peak, valley": (0.0, -0.5, -1.0, -0.5, 0.0, 1.0, 1.0, 0.0, -0.5, -1.0, -0.5, 0.0),
    "slow rise": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0.0),
    "slow fall": (0.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0),
    "plateau": (0.0, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.0),
    "notched plateau": (0.0, 0.7, 1.0, 1.0, 0.7, 0.2, 0.2, 0.7, 1.0, 1.0, 0.7, 0.0),
}


def sequences(
    *,
    count: int = 2000,
    validation_count: int = 1000,
    test_count: int = 4000,
    noise: float = 0.15,
    correlation: float = 1.5,
    shift: float = 1.0,
    stretch: float = 0.5,
    scale: float = 0.3,
    shear: float = 0.5,
    seed: int = 0,
) -> Task:
    """The task of classifying the curves. Inputs (1, 40), ten classes, all equally frequent.

    A curve is the template of its class, drawn with straight lines over a part of the 40 points; it
    is 0 at all others. It is multiplied by a height, a slope is added to it, and then noise.

    Args:
        count, validation_count, test_count: the numbers of curves in the splits, all drawn anew.
        noise: the standard deviation of the noise. Templates reach from -1 to 1.
        correlation: over how many points the noise is smoothed, as the standard deviation of a
            Gaussian; 0: the points' noises are independent.
        shift: how far curves are moved from the middle, at most, as a share of the room there is.
        stretch: curves are between (1 - stretch) and (1 + stretch) times 20 points long.
        scale: the height lies between 1 - scale and 1 + scale.
        shear: the slope raises the last point over the first by at most this, up or down.
        seed: of all draws.

    Raises:
        ValueError: an argument is out of its range.
    """
    counts = {"count": count, "validation_count": validation_count, "test_count": test_count}
    for name, value in counts.items():
        if value < len(TEMPLATES):
            raise ValueError(
                f"the task 'sequences' needs a curve of each of its {len(TEMPLATES)} classes in "
                f"every split; {name} is {value}: give {len(TEMPLATES)} or more"
            )
    amounts = {"noise": noise, "correlation": correlation, "shear": shear}
    shares = {"shift": (shift, 1.0), "stretch": (stretch, 0.9), "scale": (scale, 0.9)}
    for name, value in amounts.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"the task 'sequences': {name} is 0 or more; got {value}")
    for name, (value, largest) in shares.items():
        if not 0 <= value <= largest:
            raise ValueError(
                f"the task 'sequences': {name} lies between 0 and {largest:g}; got {value}"
            )

    def draw(part: str, number: int) -> Split:
        random = numpy.random.default_rng(derive(seed, f"sequences/{part}"))
        labels = random.permutation(numpy.arange(number) % len(TEMPLATES))
        curves = _placed(labels, random, shift=shift, stretch=stretch)
        curves *= 1 + scale * random.uniform(-1, 1, (number, 1))
        slopes = shear * random.uniform(-1, 1, (number, 1))
        curves += slopes * numpy.linspace(-0.5, 0.5, LENGTH)
        curves += noise * _smooth(random.standard_normal((number, LENGTH)), correlation)
        inputs = torch.from_numpy(curves.astype(numpy.float32)[:, None])
        return Split(inputs, torch.from_numpy(labels.astype(numpy.int64)))

    train = draw("train", count)
    return Task(
        "sequences",
        train,
        draw("validation", validation_count),
        draw("test", test_count),
        Shapes((1, LENGTH), (len(TEMPLATES),)),
        normalize=((train.inputs.mean().item(),), (train.inputs.std().item(),)),
        classes=tuple(TEMPLATES),
    )


def _placed(
    labels: numpy.ndarray, random: numpy.random.Generator, *, shift: float, stretch: float
) -> numpy.ndarray:
    """The templates (N, 40) of the labels (N,), each stretched and moved at random."""
    templates = numpy.array(list(TEMPLATES.values()))
    points = templates.shape[1]
    lengths = LENGTH / 2 * (1 + stretch * random.uniform(-1, 1, (len(labels), 1)))
    starts = (LENGTH - 1 - lengths) / 2 * (1 + shift * random.uniform(-1, 1, (len(labels), 1)))
    # The place of each point in the template, from 0 at its first point to points - 1 at its last.
    places = (numpy.arange(LENGTH) - starts) / lengths * (points - 1)
    inside = (places >= 0) & (places <= points - 1)
    left = numpy.clip(places, 0, points - 2).astype(numpy.int64)
    share = places - left
    rows = labels[:, None]
    values = (1 - share) * templates[rows, left] + share * templates[rows, left + 1]
    return numpy.where(inside, values, 0.0)


def _smooth(noise: numpy.ndarray, correlation: float) -> numpy.ndarray:
    """White noise (N, 40), smoothed by a Gaussian along each row; its variance stays 1.

    The rows are closed to rings, so that the ends are as noisy as the middle.
    """
    if correlation == 0:
        return noise
    offsets = numpy.arange(LENGTH)
    distances = numpy.minimum(offsets, LENGTH - offsets)
    weights = numpy.exp(-0.5 * (distances / correlation) ** 2)
    weights /= numpy.sqrt((weights**2).sum())
    circulant = weights[(offsets[:, None] - offsets) % LENGTH]
    return noise @ circulant
