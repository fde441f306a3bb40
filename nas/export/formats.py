"""The formats of an export: a Python file with its weights, torch.export's archive, and ONNX."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from nas.evaluators.weights import DIGEST
from nas.export.calling import any_batch, call_text, plainly_called, tensors_by_name
from nas.export.preprocessing import Preprocessing, SeveralPreprocessing
from nas.export.reader import reader_source
from nas.export.verify import ExportError
from nas.training.checkpoint import digest
from spaces.build import source
from spaces.graph import Graph
from spaces.structure import arguments, by_name, is_shape, mapped

Format = Literal["module", "pt2", "onnx"]

# The network's files in each format, and the packages that are needed to write them.
FILES = MappingProxyType(
    {"module": ("model.py", "model.safetensors"), "pt2": ("model.pt2",), "onnx": ("model.onnx",)}
)
NEEDED = MappingProxyType({"module": (), "pt2": (), "onnx": ("onnx", "onnxscript", "onnxruntime")})

# In bytes. The tensors of a larger network go to a second file: an ONNX file is a protocol buffer,
# which has a limit of 2 GB.
_LARGEST_ONNX = 1_900_000_000

_LOAD = '''
def load(path: str | Path = Path(__file__).with_name("model.safetensors")) -> Network:
    """The network with its weights, in evaluation mode."""
    network = Network()
    network.load_state_dict(read_safetensors(Path(path)))
    return network.eval()
'''


def check_format(format_name: str) -> None:
    """Checks that the format is known and that its packages are installed.

    Raises:
        ValueError: it is not known, or packages are missing.
    """
    if format_name not in FILES:
        raise ValueError(f"the formats are {', '.join(FILES)}; got {format_name!r}")
    missing = [name for name in NEEDED[format_name] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"the format {format_name} needs {' and '.join(missing)}, not installed here: "
            "`pip install surrogate-nas[onnx]`"
        )


def module_source(
    graph: Graph,
    input_shape: tuple[int, ...],
    *,
    preprocessing: Preprocessing | SeveralPreprocessing | None,
    classes: tuple[str, ...] = (),
    title: str = "A network.",
) -> str:
    """The text of `model.py`, which needs torch alone.

    It holds the names of the classes, the network, the preprocessing of raw inputs, and the loading
    of the weights.

    Args:
        graph: of the whole network.
        input_shape: without the batch.
        preprocessing: of raw inputs; None: it is not known.
        classes: their names by number, if there are any.
        title: the first line of the file's docstring.
    """
    imports, _, network = source(graph, input_shape).partition("\n\n\n")
    prepare = preprocessing_source(preprocessing, input_shape)
    head = head_source(title, imports, classes, prepares=bool(prepare))
    parts = (
        head,
        network.strip("\n") + "\n",
        prepare,
        _LOAD.lstrip("\n"),
        reader_source(),
    )
    return "\n\n".join(part for part in parts if part)


def preprocessing_source(
    preprocessing: Preprocessing | SeveralPreprocessing | None, input_shape: Any
) -> str:
    """The definition of `preprocess` for `model.py`; empty if there is nothing to do."""
    if preprocessing is None or preprocessing.does_nothing:
        return ""
    return preprocessing.source(mapped(lambda shape: len(shape) + 1, input_shape, leaf=is_shape))


def head_source(
    title: str,
    imports: str,
    classes: tuple[str, ...],
    *,
    prepares: bool,
    input_shape: Any = (),
) -> str:
    """The docstring of `model.py`, its imports and the names of the classes.

    Args:
        title: the first line of the docstring.
        imports: those that the network needs, as lines.
        classes: their names by number, if there are any.
        prepares: whether the file has a function `preprocess`.
        input_shape: without the batch; several in a tuple or mapping.
    """
    call = call_text(input_shape, "preprocess(inputs)" if prepares else "inputs")
    # The title must not end the docstring, nor escape anything in it.
    title = title.replace("\\", "/").replace('"', "'")
    lines = [
        f'"""{title}',
        "",
        "    network = load()",
        f"    outputs = {call}",
        '"""',
        "",
        "import hashlib",
        "import json",
        "import math",
        "from pathlib import Path",
        "",
        imports,
    ]
    if classes:
        lines += [
            "",
            "# By number: `outputs.argmax(1)` gives one for each input.",
            "CLASSES = [",
            *(f"    {name!r}," for name in classes),
            "]",
        ]
    return "\n".join(lines) + "\n"


def write_module(folder: Path, text: str, network: nn.Module) -> None:
    """Writes `model.py` and `model.safetensors`, which has the digest of its tensors."""
    from safetensors.torch import save

    (folder / "model.py").write_text(text, encoding="utf-8")
    state = {
        name: tensor.detach().contiguous().clone() for name, tensor in network.state_dict().items()
    }
    # Writing bytes makes a full disk an OSError, as for all other files.
    (folder / "model.safetensors").write_bytes(save(state, {DIGEST: digest(state)}))


def write_pt2(folder: Path, network: nn.Module, example: Any) -> None:
    """Writes `model.pt2`, for batches of any size.

    Args:
        folder: the directory to write to.
        network: the network with its weights.
        example: a batch of at least two samples: a tensor, or a tuple or mapping of tensors.

    Raises:
        ExportError: torch.export cannot trace the network.
    """
    try:
        positional, named = arguments(example)
        with warnings.catch_warnings(), plainly_called(network.eval(), example):
            # Torch's own recurrent layers set attributes while they run. The export is verified.
            warnings.filterwarnings("ignore", "The tensor attribute", UserWarning)
            program = torch.export.export(
                network, positional, named, dynamic_shapes=any_batch(network, example)
            )
    except Exception as error:  # Errors of tracing have many unrelated classes.
        raise ExportError(
            f"torch.export cannot trace this network: {_first_line(error)}; `--format module` "
            "needs no tracing"
        ) from error
    content = io.BytesIO()
    torch.export.save(program, content)
    (folder / "model.pt2").write_bytes(content.getvalue())


def write_onnx(folder: Path, network: nn.Module, example: Any) -> None:
    """Writes `model.onnx`, with the input `inputs` and the output `outputs`, for any batch size.

    Several inputs or outputs have their names, or `inputs_0`, `inputs_1` and so on.

    Args:
        folder: the directory to write to.
        network: the network with its weights.
        example: a batch of at least two samples: a tensor, or a tuple or mapping of tensors.

    Raises:
        ExportError: the network cannot be expressed in ONNX.
    """
    with (
        warnings.catch_warnings(),
        _quiet(logging.getLogger("torch.onnx._internal.exporter._registration")),
        plainly_called(network.eval(), example),
    ):
        # The exporter warns about its own use of older torch functions, and logs that torchvision
        # is not installed.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        # All inputs have one batch.
        warnings.filterwarnings("ignore", ".*axis name", UserWarning)
        # Torch's own recurrent layers set attributes while they run.
        warnings.filterwarnings("ignore", "The tensor attribute", UserWarning)
        try:
            positional, named = arguments(example)
            with torch.no_grad():
                outputs = tensors_by_name(network(*positional, **named))
            program = torch.onnx.export(
                network,
                positional,
                kwargs=named,
                dynamo=True,
                dynamic_shapes=any_batch(network, example),
                input_names=list(by_name(example, "inputs")),
                output_names=list(outputs),
                verbose=False,
            )
        except Exception as error:  # As in `write_pt2`.
            raise ExportError(
                f"torch.onnx cannot express this network: {_first_line(error)}; "
                "`--format module` can"
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


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
