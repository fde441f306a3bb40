"""The best stored weights are chosen, and weights that do not fit are refused."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nas.evaluators.evaluator import Observation
from nas.evaluators.weights import DIGEST, read_weights, save_weights
from nas.export import ExportError, export
from nas.export.reader import reader_source
from nas.export.verify import Cases, verify
from nas.export.weights import load_weights
from nas.record.events import (
    outcome_event,
    round_event,
)
from nas.record.files import weights_file
from nas.record.journal import open_for_writing
from nas.record.trials import Trial
from nas.training.checkpoint import digest
from tests.nas.export.small_runs import (
    METADATA,
    SHAPES,
    a_run,
    architecture,
    key_of,
    load_model,
    space,
    trained,
)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """What an export's own reader gives; its text runs as it does in `model.py`."""
    scope = {"hashlib": hashlib, "json": json, "math": math, "torch": torch, "Path": Path}
    exec("from __future__ import annotations\n\n" + reader_source(), scope)
    return scope["read_safetensors"](path)  # type: ignore[operator]


def test_without_full_trainings_the_best_observed_trial_is_taken_with_its_search_weights(
    run, tmp_path, unverified
):
    directory = a_run(tmp_path / "other", [architecture(), architecture(6)], finals=False)
    save_weights(trained(space, architecture(6), 0), weights_file(directory, 1), METADATA)
    exported = export(directory, out=tmp_path / "out")
    assert (exported.trial, exported.weights, exported.seed) == (1, "search", 101)
    assert "short training during the search" in (tmp_path / "out" / "README.md").read_text()


def test_weights_of_an_isomorphic_trial_come_with_its_architecture(run, tmp_path, unverified):
    directory = a_run(tmp_path / "other", [architecture()], finals=False)
    key = key_of("small", SHAPES, architecture())
    second = Trial(1, 0, "random", architecture(), "random", None, key, 7)
    with open_for_writing(directory) as journal:
        journal.append([round_event(0, "random", [second])])
        journal.append([outcome_event(1, Observation(0.5, 1.0))])
    save_weights(trained(space, architecture(), 0), weights_file(directory, 0), METADATA)
    assert export(directory, trial=1, out=tmp_path / "out").trial == 1
    assert "They come from trial 0" in (tmp_path / "out" / "README.md").read_text()


def test_untrained_weights_are_those_that_training_began_with(run, tmp_path, unverified):
    from nas.seeds import derive

    exported = export(run, trial=0, out=tmp_path / "out", untrained=True)
    assert (exported.weights, exported.seed) == ("fresh", 100)
    torch.manual_seed(derive(100, "weights"))
    expected = space.build(architecture()).state_dict()
    given = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(expected[name], given[name]) for name in expected)
    assert "has not been trained" in (tmp_path / "out" / "README.md").read_text()
    assert not hasattr(load_model(tmp_path / "out"), "preprocess")


def test_weights_that_are_cut_off_or_do_not_fit(run, tmp_path):
    path = weights_file(run, 0, 1)
    state, content = load_file(path), path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"final-00000-1.safetensors cannot be read"):
        export(run, out=tmp_path / "out")
    with pytest.raises(ValueError, match="is damaged"):
        read_safetensors(path)
    path.write_bytes(content[:40])
    with pytest.raises(ValueError, match="is not a safetensors file"):
        read_safetensors(path)
    network = space.build(architecture())
    with pytest.raises(
        ValueError,
        match=r"it lacks linear_1.bias; it has other, which the network has not\. "
        r"Was the space changed",
    ):
        load_weights(
            network,
            {
                **{name: value for name, value in state.items() if name != "linear_1.bias"},
                "other": torch.zeros(1),
            },
            path,
        )
    with pytest.raises(
        ValueError, match=r"linear_1.bias is \(3,\) float32 and should be \(10,\) float32"
    ):
        load_weights(network, {**state, "linear_1.bias": torch.zeros(3)}, path)


def test_weights_that_are_not_those_of_the_training_are_refused(run, tmp_path):
    path = weights_file(run, 0, 1)
    state, metadata = read_weights(path)
    assert len(metadata[DIGEST]) == 32
    content = bytearray(path.read_bytes())
    for place in range(-200, 0, 4):
        content[place] ^= 0x15
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"final-00000-1.safetensors are damaged: .*train it"):
        export(run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="is damaged: the digest"):
        read_safetensors(path)
    # Earlier versions wrote no digest.
    save_file(state, path, METADATA)
    given, _ = read_weights(path)
    assert all(torch.equal(given[name], state[name]) for name in state)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt2"])
def test_the_digest_of_an_export_is_that_of_its_file(name, run, tmp_path, unverified):
    export(run, out=tmp_path / "out", format="pt2" if name == "model.pt2" else "module")
    content = (tmp_path / "out" / name).read_bytes()
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    described = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert described["digests"] == {name: expected}
    assert f"{expected}  {name}" in (tmp_path / "out" / "README.md").read_text()


def test_an_export_whose_digests_are_not_those_of_its_files_is_refused(tmp_path):
    (tmp_path / "model.py").write_text("import torch\n\nload = torch.nn.Identity\n")
    (tmp_path / "architecture.json").write_text('{"digests": {"model.py": "0123"}}')
    batch = (torch.zeros(1, 1),)
    with pytest.raises(ExportError, match=r"the digest of model.py is .*, expected 0123"):
        verify("module", tmp_path, Cases(batch, batch, batch))


@pytest.mark.parametrize("change", ["name", "shape", "type", "number"])
def test_a_digest_is_of_names_shapes_types_and_numbers(change, tmp_path):
    state = {"a": torch.arange(6, dtype=torch.int32), "b": torch.zeros(0, 3)}
    other = {
        "name": {"c": state["a"], "b": state["b"]},
        "shape": {**state, "a": state["a"].reshape(2, 3)},
        "type": {**state, "a": state["a"].view(torch.float32)},
        "number": {**state, "a": state["a"].flip(0)},
    }[change]
    assert digest(state) == digest(dict(reversed(state.items())))
    assert digest(state) != digest(other)


def test_without_weights_the_sentence_says_what_to_do(run, tmp_path):
    for path in (run / "weights").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"holds no weights of trial 0; --untrained"):
        export(run, out=tmp_path / "out")
    table = {"name": "table", "path": "builtin:nasbench201", "score": "cifar10_valid_acc"}
    directory = a_run(tmp_path / "table", [architecture()], evaluator=table, task=None)
    with pytest.raises(ValueError, match=r"looked up in a table; --untrained"):
        export(directory, out=tmp_path / "out")
    kept = a_run(
        tmp_path / "kept",
        [architecture(), architecture(6), architecture(6, "tanh")],
        keep_weights="finalists",
    )
    with pytest.raises(
        ValueError,
        match=r"no weights of trial 2 \(keep_weights is finalists\); finalists are the trials 0, 1",
    ):
        export(kept, trial=2, out=tmp_path / "out")


def test_the_reader_agrees_with_safetensors_for_every_type(tmp_path):
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool]
    dtypes += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.complex64]
    dtypes += [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
    state = {
        str(number): (3 * torch.rand(5, number + 1)).to(dtype)
        for number, dtype in enumerate(dtypes)
    }
    state |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3)}
    save_file(state, tmp_path / "a.safetensors", {"some": "metadata", DIGEST: digest(state)})
    given = read_safetensors(tmp_path / "a.safetensors")
    assert set(given) == set(state)
    for name, tensor in state.items():
        assert (given[name].dtype, given[name].shape) == (tensor.dtype, tensor.shape)
        own, written = (each.flatten().view(torch.uint8) for each in (given[name], tensor))
        assert torch.equal(own, written)
