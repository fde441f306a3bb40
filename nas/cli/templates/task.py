"""Your task: a function that returns data in three splits, with a loss and a metric.

Replace `load_digits` by your own arrays.
"""

import numpy
import torch
from sklearn.datasets import load_digits

from nas.tasks.splits import stratified_split
from nas.tasks.task import Split, Task
from spaces import Shapes


def task(*, seed: int = 0) -> Task:
    """The task.

    Further arguments become keys of the configuration (`task: {name: task.py:task, key: value}`).
    `seed` is the task's own (`task.seed`, 0), not that of the search.
    """
    # inputs: float32, or uint8 for pixels 0 to 255; (samples, channels, height, width), or
    # (samples, features). labels: whole numbers from 0.
    inputs, labels = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype(numpy.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(numpy.int64)

    # Architectures are scored on `validation`; `test` is used for the finalists only.
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
        # or a function(inputs, generator) for training batches: nas.tasks.augment.FlipAndCrop()
        augment=None,
        # mean and standard deviation of each channel, or None
        normalize=(tuple(channels.mean(1).tolist()), tuple(channels.std(1).tolist())),
    )
