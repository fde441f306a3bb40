"""What a model card says of the network's use: code that runs beside the export's files, with no
part of this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from nas.export.formats import Format
from nas.export.preprocessing import Objective
from nas.tasks.tokens import MASK
from spaces import Shapes

# The tokenizer's file beside the network, where its inputs are tokens of a text.
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class _Way:
    """How the files of a format are used from Python.

    Attributes:
        files: a sentence about them; may be empty.
        imports, loading: what makes the network of them.
        call: its outputs, for the inputs in the place of `{0}`.
        library, array: which makes inputs of lists, and its function for that.
        comment: behind a call; `{0}` is the inputs' shape.
    """

    files: str
    imports: str
    loading: str
    call: str
    library: str
    array: str
    comment: str


_WAYS = MappingProxyType(
    {
        "module": _Way(
            "`model.py` needs PyTorch alone; `model.safetensors` lies beside it.\n\n",
            "import model",
            "network = model.load()",
            "network({0})",
            "torch",
            "torch.tensor",
            "inputs: {0}",
        ),
        "pt2": _Way(
            "",
            "import torch",
            'network = torch.export.load("model.pt2").module()',
            "network({0})",
            "torch",
            "torch.tensor",
            "inputs: {0}, already preprocessed",
        ),
        "onnx": _Way(
            "",
            "import onnxruntime",
            'session = onnxruntime.InferenceSession("model.onnx")',
            'session.run(None, {{"inputs": {0}}})[0]',
            "numpy",
            "numpy.array",
            "inputs: a NumPy array, {0}, already preprocessed",
        ),
    }
)

_TOKENIZE = f"""Text becomes the network's inputs by `{TOKENIZER}`, a file of the library `tokenizers`, which cuts and pads each to the length here.

```python
import {{library}}
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("{TOKENIZER}")
inputs = {{array}}([tokenizer.encode(text).ids for text in ["a text of yours"]])
```

"""

_HIDDEN = """The network was trained to tell **hidden tokens** (masked language modelling): of its outputs, those at a place are scores of every token
for what is hidden there, log-probabilities up to a constant. Token {mask} stands for a hidden one, token 0 for padding at the end. Training showed it
whole windows of {length} tokens, so it tells best with as much text around as fits.

```python
before, after = "the text before", "the text after"
left, right = tokenizer.encode(before).ids[-LENGTH // 2 :], tokenizer.encode(after).ids
tokens = ([*left, {mask}, *right] + LENGTH * [0])[:LENGTH]
scores = {call}[0][len(left)].tolist()
best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:5]
print([tokenizer.decode([token]) for token in best])
```
"""

_NEXT = """The network was trained to tell **the next token** (causal language modelling): of its outputs, those at a place are scores of every token
for what follows there, log-probabilities up to a constant. So what follows a text stands at the place of its last token. A text that is shorter than
{length} tokens is padded behind it, with token 0, which changes nothing before; of a longer one the end is read.

```python
tokens = tokenizer.encode("the text so far").ids
for _ in range(20):
    window = tokens[-LENGTH:]
    scores = {call}[0][len(window) - 1].tolist()
    tokens.append(scores.index(max(scores)))
print(tokenizer.decode(tokens))
```
"""


def usage(
    format_name: Format,
    shapes: Shapes,
    *,
    prepares: bool,
    tokenizer: bool,
    objective: Objective | None,
) -> str:
    """How the network is loaded and called, and on texts how its inputs are made and its outputs
    read, as Markdown.

    Args:
        prepares: `model.py` has a function `preprocess` for raw inputs.
        tokenizer: the export has a tokenizer's file.
        objective: of a language model; None: the network is none.
    """
    way = _WAYS[format_name]
    if tokenizer and objective is not None:
        return _of_language_model(way, shapes, objective)
    prepared = "model.preprocess(inputs)" if prepares and format_name == "module" else "inputs"
    comment = way.comment.format(f"(batch, {', '.join(map(str, shapes.input))})")
    made = _TOKENIZE.format(library=way.library, array=way.array) if tokenizer else ""
    return (
        f"{made}{way.files}```python\n{way.imports}\n\n{way.loading}\noutputs = "
        f"{way.call.format(prepared)}  # {comment}\n```\n"
    )


def _of_language_model(way: _Way, shapes: Shapes, objective: Objective) -> str:
    (length,) = shapes.input
    imports = "\n".join(
        sorted(
            {way.imports, f"import {way.library}"}, key=lambda line: (line == "import model", line)
        )
    )
    # Windows are put together by hand: the file's own padding would come between the parts of a
    # text.
    lines = [
        imports,
        "from tokenizers import Tokenizer",
        "",
        way.loading,
        f'tokenizer = Tokenizer.from_file("{TOKENIZER}")',
        "tokenizer.no_padding()",
        "tokenizer.no_truncation()",
        f"LENGTH = {length}",
    ]
    code = "\n".join(lines)
    made = f"Text becomes tokens by `{TOKENIZER}`, a file of the library `tokenizers`. {way.files}".rstrip()
    if objective == "masked":
        text = _HIDDEN.format(
            mask=MASK, length=length, call=way.call.format(f"{way.array}([tokens])")
        )
    else:
        text = _NEXT.format(
            length=length,
            call=way.call.format(f"{way.array}([window + [0] * (LENGTH - len(window))])"),
        )
    return f"{made}\n\n```python\n{code}\n```\n\n{text}"
