"""The three formats of an export: a Python file with its weights, torch.export's archive, and ONNX."""

from __future__ import annotations

import importlib.util
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from nas.export.preprocessing import Preprocessing
from nas.export.reader import read_safetensors
from nas.export.verify import ExportError
from spaces.build import source
from spaces.graph import Graph

Format = Literal["module", "pt2", "onnx"]

FILES = MappingProxyType(
    {"module": ("model.py", "model.safetensors"), "pt2": ("model.pt2",), "onnx": ("model.onnx",)}
)
NEEDED = MappingProxyType({"module": (), "pt2": (), "onnx": ("onnx", "onnxscript", "onnxruntime")})

# Beyond this an ONNX file, which is a protocol buffer, keeps its tensors in a second file.
_LARGEST_ONNX = 1_900_000_000

_LOAD = '''
def load(path: str | Path = Path(__file__).with_name("model.safetensors")) -> Network:
    """The network with its weights, in evaluation mode."""
    network = Network()
    network.load_state_dict(read_safetensors(Path(path)))
    return network.eval()
'''


def check_format(format_name: str) -> None:
    """Says before any work whether the format is known and can be written here.

    Raises:
        ValueError: it is not known, or packages are missing.
    """
    if format_name not in FILES:
        raise ValueError(f"the formats are {', '.join(FILES)}; got {format_name!r}")
    missing = [name for name in NEEDED[format_name] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"the format {format_name} needs {' and '.join(missing)}, not installed here: `pip "
            "install surrogate-nas[onnx]`"
        )


def module_source(
    graph: Graph,
    input_shape: tuple[int, ...],
    *,
    preprocessing: Preprocessing | None,
    classes: tuple[str, ...] = (),
    title: str = "A network.",
) -> str:
    """The text of `model.py`: the classes' names, the network, how raw inputs are prepared, how the
    weights are loaded. It needs torch alone.
    """
    imports, _, network = source(graph, input_shape).partition("\n\n\n")
    prepare = (
        ""
        if preprocessing is None or preprocessing.does_nothing
        else preprocessing.source(len(input_shape) + 1)
    )
    title = title.replace("\\", "/").replace('"', "'")
    usage = (
        "    network = load()\n    outputs = "
        f"network({'preprocess(inputs)' if prepare else 'inputs'})"
    )
    head = (
        f'"""{title}\n\n{usage}\n"""\n\nimport json\nimport math\nfrom pathlib import '
        f"Path\n\n{imports}\n"
    )
    if classes:
        head += (
            "\n# By number: `outputs.argmax(1)` gives one for each input.\nCLASSES = "
            f"[\n{''.join(f'    {name!r},{chr(10)}' for name in classes)}]\n"
        )
    return "\n\n".join(
        part
        for part in (
            head,
            network.strip("\n") + "\n",
            prepare,
            _LOAD.lstrip("\n"),
            inspect.getsource(read_safetensors),
        )
        if part
    )


def write_module(folder: Path, text: str, network: nn.Module) -> None:
    """`model.py` and `model.safetensors`."""
    from safetensors.torch import save

    (folder / "model.py").write_text(text, encoding="utf-8")
    state = {
        name: tensor.detach().contiguous().clone() for name, tensor in network.state_dict().items()
    }
    # By way of bytes: then a full disk is an OSError, as everywhere.
    (folder / "model.safetensors").write_bytes(save(state))


def write_pt2(folder: Path, network: nn.Module, example: Tensor) -> None:
    """`model.pt2`, for batches of any size.

    Raises:
        ExportError: torch.export cannot follow the network.
    """
    try:
        program = torch.export.export(network.eval(), (example,), dynamic_shapes=_any_batch())
    except (
        Exception
    ) as error:  # torch.export raises errors of its own tracing, of many unrelated classes.
        raise ExportError(
            f"torch.export cannot follow this network: {_first_line(error)}; `--format module` "
            "needs no tracing"
        ) from error
    content = io.BytesIO()
    torch.export.save(program, content)
    (folder / "model.pt2").write_bytes(content.getvalue())


def write_onnx(folder: Path, network: nn.Module, example: Tensor) -> None:
    """`model.onnx` with the input `inputs` and the output `outputs`, for batches of any size.

    Raises:
        ExportError: the network cannot be expressed.
    """
    with (
        warnings.catch_warnings(),
        _quiet(logging.getLogger("torch.onnx._internal.exporter._registration")),
    ):
        # The exporter warns of its own use of older torch functions, and logs that torchvision's
        # operations are not there.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            program = torch.onnx.export(
                network.eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=_any_batch(),
                input_names=["inputs"],
                output_names=["outputs"],
                verbose=False,
            )
        except Exception as error:  # As in torch.export.
            raise ExportError(
                f"torch.onnx cannot express this network: {_first_line(error)}; `--format "
                "module` can"
            ) from error
        assert program is not None
        size = sum(
            tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()
        )
        program.save(folder / "model.onnx", external_data=size > _LARGEST_ONNX)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _any_batch() -> tuple[dict[int, torch.export.Dim]]:
    return ({0: torch.export.Dim("batch")},)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
