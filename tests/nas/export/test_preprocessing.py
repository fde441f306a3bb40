"""An export's preprocessing is that of the training."""

from __future__ import annotations

import pytest
import torch

from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.evaluators.weights import read_weights
from nas.export.preprocessing import classes_of, preprocessing_of
from spaces import Shapes
from tests.nas.export.small_runs import SMALL, architecture


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_preprocessing_is_that_of_the_training(dtype, tmp_path):
    from nas.tasks.task import Split, Task
    from nas.training.recipe import Recipe

    inputs = torch.randint(200, (6, 3, 8, 8)).to(dtype)
    split = Split(inputs, torch.zeros(6, dtype=torch.int64))
    normalize = ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    task = Task("t", split, split, split, Shapes((3, 8, 8), (10,)), normalize=normalize)
    evaluator = TrainEvaluator(SMALL, task, Recipe(epochs=1, batch_size=4), device="cpu")
    if dtype != torch.int64:
        path = tmp_path / "w.safetensors"
        assert isinstance(evaluator.evaluate(architecture(), seed=0, weights=path), Observation)
        _, metadata = read_weights(path)
    else:
        metadata = {"inputs": "int64", "normalize": "null"}
    preprocessing = preprocessing_of(metadata)
    assert preprocessing is not None
    torch.testing.assert_close(preprocessing(inputs), task.prepare(inputs), rtol=0, atol=0)
    assert str(preprocessing)
    assert preprocessing.does_nothing == (dtype == torch.int64)
    if not preprocessing.does_nothing:
        scope = {"torch": torch}
        exec(preprocessing.source(4), scope)
        prepared = scope["preprocess"](inputs)  # type: ignore[operator]
        torch.testing.assert_close(prepared, task.prepare(inputs), rtol=0, atol=0)


def test_malformed_preprocessing_is_a_sentence():
    assert preprocessing_of({}) is None
    with pytest.raises(ValueError, match="`normalize` is null or"):
        preprocessing_of({"inputs": "uint8", "normalize": "[1]"})
    with pytest.raises(ValueError, match="`normalize` is null or"):
        preprocessing_of({"inputs": "uint8", "normalize": "[[NaN], [1]]"})
    with pytest.raises(ValueError, match="`inputs` is uint8"):
        preprocessing_of({"inputs": "string"})
    with pytest.raises(ValueError, match="`classes` is a list of names"):
        classes_of({"classes": '[1, "two"]'})
