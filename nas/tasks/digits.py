"""The task `digits`: scikit-learn's 1,797 handwritten digits, grey images of 8 x 8 pixels.

Networks train on it in seconds on a laptop.
"""

from __future__ import annotations

import numpy
import torch

from nas.tasks.splits import class_numbers, stratified_split
from nas.tasks.task import Split, Task
from spaces import Shapes


def digits(*, seed: int = 0) -> Task:
    """The task of classifying the digits. Inputs (1, 8, 8), ten classes.

    The splits have 60 % (training), 20 % (validation) and 20 % (test) of the images, each with the
    same share of every class. `seed` draws the splits.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images.astype(numpy.float32).reshape(-1, 1, 8, 8) / 16)
    targets = torch.from_numpy(class_numbers(labels, "the digits"))
    test, validation, train = (
        Split(inputs[rows], targets[rows]) for rows in stratified_split(labels, (0.2, 0.2), seed)
    )
    mean, deviation = train.inputs.mean().item(), train.inputs.std().item()
    return Task(
        "digits",
        train,
        validation,
        test,
        Shapes((1, 8, 8), (10,)),
        normalize=((mean,), (deviation,)),
    )
