"""Runs an export in an interpreter of its own and says how far its outputs are from the expected
ones. Imports nothing of this project.

    python -I -B verify_script.py FORMAT FOLDER CASES RESULT BLOCKED...

CASES holds (`torch.save`) batches under `inputs`, `raw` (not preprocessed) and `expected`; RESULT
becomes the JSON list of the relative differences. The modules BLOCKED cannot be imported.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path


def main(format_name: str, folder: str, cases: str, result: str, *blocked: str) -> None:
    """Writes the largest difference of each batch, relative to the largest expected output where
    that is greater than 1.
    """
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    import torch

    batches = torch.load(cases, weights_only=True)
    run = {"module": _module, "pt2": _pt2, "onnx": _onnx}[format_name](Path(folder))
    differences = []
    with torch.no_grad():
        for inputs, raw, expected in zip(
            batches["inputs"], batches["raw"], batches["expected"], strict=True
        ):
            given = run(inputs, raw)
            if given.shape != expected.shape:
                raise ValueError(
                    f"for a batch of shape {tuple(inputs.shape)} it gives {tuple(given.shape)}, "
                    f"expected {tuple(expected.shape)}"
                )
            differences.append(
                ((given - expected).abs().max() / max(1.0, expected.abs().max().item())).item()
            )
    Path(result).write_text(json.dumps(differences))


def _module(folder: Path) -> Callable:
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.load()
    return lambda inputs, raw: network(
        model.preprocess(raw) if hasattr(model, "preprocess") else inputs
    )


def _pt2(folder: Path) -> Callable:
    import torch

    network = torch.export.load(folder / "model.pt2").module()
    return lambda inputs, raw: network(inputs)


def _onnx(folder: Path) -> Callable:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    return lambda inputs, raw: torch.from_numpy(session.run(None, {"inputs": inputs.numpy()})[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
