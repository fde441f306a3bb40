"""An export is run in a fresh interpreter, and its outputs are compared with the expected ones.

This file imports nothing of this project.

    python -I -B verify_script.py FORMAT FOLDER CASES RESULT BLOCKED...

CASES is a file of `torch.save`, with batches under `inputs`, `raw` (before preprocessing) and
`expected`. The JSON list of the relative differences is written to RESULT. The modules BLOCKED
cannot be imported.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path


def main(format_name: str, folder: str, cases: str, result: str, *blocked: str) -> None:
    """Writes the largest difference of each batch to the file `result`.

    It is relative to the largest expected output of the batch if that is greater than 1.
    """
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]
    import torch

    batches = torch.load(cases, weights_only=True)
    run = {"module": _module, "pt2": _pt2, "onnx": _onnx}[format_name](Path(folder))
    differences = []
    with torch.no_grad():
        columns = (batches[name] for name in ("inputs", "raw", "expected"))
        for inputs, raw, expected in zip(*columns, strict=True):
            given = run(inputs, raw)
            if given.shape != expected.shape:
                raise ValueError(
                    f"for a batch of shape {tuple(inputs.shape)} its outputs have the shape "
                    f"{tuple(given.shape)}, expected {tuple(expected.shape)}"
                )
            scale = max(1.0, expected.abs().max().item())
            differences.append(((given - expected).abs().max() / scale).item())
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
