"""An export is run in a fresh interpreter, and its outputs are compared with the expected ones.

This file imports nothing of this project.

    python -I -B verify_script.py FORMAT FOLDER CASES RESULT BLOCKED...

CASES is a file of `torch.save`, with batches under `inputs`, `raw` (before preprocessing) and
`expected`. For source files that travel it also has the `behaviour` for the last batch, compared
with a `tolerance`, and the `folders` that the files come from, where nothing may be read. The JSON
list of the relative differences is written to RESULT. The modules BLOCKED cannot be imported.
"""

import dataclasses
import hashlib
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType


def main(format_name: str, folder: str, cases: str, result: str, *blocked: str) -> None:
    """Writes the largest difference of each batch to the file `result`.

    It is relative to the largest expected output of the batch if that is greater than 1.
    """
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    import torch

    batches = torch.load(cases, weights_only=True)
    _check_digests(Path(folder))
    read = _files_read(batches.get("folders", []), folder)
    run = {"module": _module, "pt2": _pt2, "onnx": _onnx}[format_name](Path(folder))
    differences = []
    with torch.no_grad():
        columns = (batches[name] for name in ("inputs", "raw", "expected"))
        for inputs, raw, expected in zip(*columns, strict=True):
            differences.append(_difference(_named(run(inputs, raw)), _named(expected)))
    if "behaviour" in batches:
        _check_behaviour(Path(folder), batches)
    if read:
        raise ValueError(f"it reads {read[0]}, which does not travel")
    Path(result).write_text(json.dumps(differences))


def _difference(given: dict, expected: dict) -> float:
    """The largest relative difference of tensors of one batch, by name."""
    if given.keys() != expected.keys():
        raise ValueError(f"its outputs are {', '.join(given)}, expected {', '.join(expected)}")
    largest = 0.0
    for name, tensor in expected.items():
        if given[name].shape != tensor.shape:
            raise ValueError(
                f"{name} has the shape {tuple(given[name].shape)}, expected {tuple(tensor.shape)}"
            )
        if tensor.numel():
            other = given[name]
            if not (tensor.is_floating_point() or tensor.is_complex()):
                tensor, other = tensor.double(), other.double()
            scale = max(1.0, tensor.abs().max().item())
            difference = ((other - tensor).abs().max() / scale).item()
            largest = max(largest, math.inf if math.isnan(difference) else difference)
    return largest


def _named(value: object, name: str = "", root: str = "outputs") -> dict:
    """The tensors of a structure of outputs by the names of their places."""
    if isinstance(value, dict):
        places = value.items()
    elif isinstance(value, tuple | list):
        places, name = enumerate(value), name or root
    else:
        return {name or root: value} if hasattr(value, "shape") else {}
    found = {}
    for place, part in places:
        found |= _named(part, f"{name}_{place}" if name else str(place))
    return found


def _called(network: Callable, inputs: object) -> object:
    if isinstance(inputs, dict):
        return network(**inputs)
    return network(*inputs) if isinstance(inputs, tuple | list) else network(inputs)


def _check_digests(folder: Path) -> None:
    """Compares the files with the digests in `architecture.json`, if this exists."""
    described = folder / "architecture.json"
    written = json.loads(described.read_text()).get("digests", {}) if described.is_file() else {}
    for name, expected in written.items():
        found = hashlib.blake2b((folder / name).read_bytes(), digest_size=16).hexdigest()
        if found != expected:
            raise ValueError(f"the digest of {name} is {found}, expected {expected}")


def _files_read(folders: list[str], export: str) -> list[str]:
    """A list to which every file is added that is opened in the folders from now on.

    Installed packages and the export itself may lie in them.
    """
    read: list[str] = []
    allowed = [Path(place).resolve() for place in (export, sys.prefix, sys.base_prefix)]

    def opened(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path = Path(arguments[0]).resolve()
            if any(path.is_relative_to(place) for place in folders) and not any(
                path.is_relative_to(place) for place in allowed
            ):
                read.append(str(path))

    if folders:
        sys.addaudithook(opened)
    return read


def _check_behaviour(folder: Path, batches: dict) -> None:
    observing = _imported(Path(__file__).with_name("behaviour.py"))
    network = _imported(folder / "model.py").load()
    given = observing.behaviour(network, batches["inputs"][-1])
    difference = observing.first_difference(batches["behaviour"], given, batches["tolerance"])
    if difference is not None:
        raise ValueError(f"it behaves differently there: {difference}")


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module(folder: Path) -> Callable:
    model = _imported(folder / "model.py")
    network = model.load()
    return lambda inputs, raw: _plain(
        _called(network, model.preprocess(raw) if hasattr(model, "preprocess") else inputs)
    )


def _plain(value: object) -> object:
    """A structure of outputs in dictionaries, tuples and lists."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def _pt2(folder: Path) -> Callable:
    import torch

    network = torch.export.load(folder / "model.pt2").module()
    return lambda inputs, raw: _called(network, inputs)


def _onnx(folder: Path) -> Callable:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def run(inputs: object, raw: object) -> dict:
        given = {name: tensor.numpy() for name, tensor in _named(inputs, root="inputs").items()}
        return dict(zip(names, map(torch.from_numpy, session.run(None, given)), strict=True))

    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
