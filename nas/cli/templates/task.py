"""Your task: a function that returns the data in three splits, with a loss and a metric. Put your
own arrays where `load_digits` is.
"""

import numpy
import torch
from sklearn.datasets import load_digits

from nas.tasks.splits import stratified_split
from nas.tasks.task import Split, Task
from spaces import Shapes


def task(*, seed: int = 0) -> Task:
    """The task. Further arguments become options in the config (`task: {name: task.py:task, option:
    value}`); `seed` is the task's own (`task.seed`, 0).
    """
    # inputs: float32, or uint8 for pixels 0 to 255; (samples, channels, height, width), or
    # (samples, features). labels: whole numbers from 0.
    inputs, labels = load_digits(return_X_y=True)
    inputs, labels = (
        (inputs / 16).astype(numpy.float32).reshape(-1, 1, 8, 8),
        labels.astype(numpy.int64),
    )

    # Architectures are scored on `validation`; nothing but the finalists ever sees `test`.
    test, validation, train = (
        Split(torch.from_numpy(inputs[rows]), torch.from_numpy(labels[rows]))
        for rows in stratified_split(labels, (0.2, 0.2), seed)
    )
    channels = train.inputs.transpose(0, 1).flatten(1)
    return Task(
        "my_task",
        train,
        validation,
        test,
        Shapes(input=tuple(inputs.shape[1:]), output=(int(labels.max()) + 1,)),
        loss="cross_entropy",  # or mse, or a function(outputs, targets)
        metric="accuracy",  # or negative_mse, or a function(outputs, targets); higher is better
        # or a function(inputs, generator) for training batches, such as
        # nas.tasks.augment.FlipAndCrop()
        augment=None,
        normalize=(
            tuple(channels.mean(1).tolist()),
            tuple(channels.std(1).tolist()),
        ),  # mean and deviation for each channel, or None
    )
