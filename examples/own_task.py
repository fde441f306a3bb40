"""A task of your own: a function that returns a `Task` made of arrays.

    python examples/own_task.py               # trains one random network on it
    nas search configs/smoke.yaml -s task=examples/own_task.py:bars
    nas search configs/smoke.yaml -s 'task={name: examples/own_task.py:bars, count: 2000}'

Image files, or arrays in an npz file, need no code: see configs/images.yaml.
"""

from random import Random

import numpy
import torch

from nas.tasks.splits import stratified_split
from nas.tasks.task import Split, Task
from nas.training.loop import train
from nas.training.recipe import Recipe
from spaces import Shapes
from spaces.load import load_space
from spaces.operators import sample


def bars(*, count: int = 600, noise: float = 0.4, seed: int = 0) -> Task:
    """Images of 12 x 12 pixels with a bar in noise: horizontal, vertical or diagonal.

    The arguments become keys of the configuration; `seed` is the task's own (`task.seed`, 0) and
    draws the splits.
    """
    inputs, labels = drawn(count, noise)
    test, validation, training = (
        Split(torch.from_numpy(inputs[rows]), torch.from_numpy(labels[rows]))
        for rows in stratified_split(labels, (0.2, 0.2), seed)
    )
    # Scores come from `validation`; `test` is used for the finalists only.
    return Task(
        "bars",
        training,
        validation,
        test,
        Shapes(input=(1, 12, 12), output=(3,)),  # without the batch dimension
        loss="cross_entropy",  # or "mse", or a function(outputs, targets)
        metric="accuracy",  # or "negative_mse", or a function(outputs, targets); higher is better
        # mean and standard deviation of each channel
        normalize=((float(training.inputs.mean()),), (float(training.inputs.std()),)),
    )


def drawn(count: int, noise: float) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Inputs and labels that stand for your data.

    Inputs are float32 (or uint8) of shape (samples, channels, height, width); labels are int64,
    counted from 0.
    """
    generator = numpy.random.default_rng(0)
    labels = generator.integers(3, size=count)
    inputs = generator.normal(0, noise, size=(count, 1, 12, 12)).astype(numpy.float32)
    places = generator.integers(2, 10, size=count)
    for image, label, place in zip(inputs[:, 0], labels, places, strict=True):
        steps = numpy.arange(12)
        rows, columns = [(place, steps), (steps, place), (steps, (steps + place) % 12)][label]
        image[rows, columns] += 1
    return inputs, labels


if __name__ == "__main__":
    task = bars()
    space = load_space("convnet").for_shapes(task.shapes)
    architecture = sample(space, Random(1))
    torch.manual_seed(0)
    trained = train(
        space.build(architecture),
        task,
        Recipe(epochs=5, batch_size=32),
        seed=0,
        device=torch.device("cpu"),
    )
    print(
        f"{architecture}\nvalidation accuracy after each epoch: "
        f"{', '.join(f'{score:.2f}' for score in trained.curve)}"
    )
