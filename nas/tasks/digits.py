"""The 1,797 handwritten digits that scikit-learn carries: 8 x 8 pixels, grey. Small enough to train
on a laptop in seconds.
"""

from __future__ import annotations

import numpy
import torch

from nas.tasks.splits import class_numbers, stratified_split
from nas.tasks.task import Split, Task
from spaces import Shapes


def digits(*, seed: int = 0) -> Task:
    """60 % training, 20 % validation, 20 % test, stratified; `seed` draws the split. Inputs (1, 8,
    8), ten classes.
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
