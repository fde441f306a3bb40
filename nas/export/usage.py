"""A model card's section on use: code that runs beside the files, without this project."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from nas.export.calling import call_text, shapes_text
from nas.export.formats import Format
from nas.export.preprocessing import Objective
from nas.tasks.tokens import MASK
from spaces import Shapes
from spaces.structure import by_name

# The tokenizer's file beside the network, if its inputs are tokens of a text.
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class _Way:
    """How the files of a format are used from Python.

    Attributes:
        files: a sentence about the files; may be empty.
        imports, loading: the code that loads the network.
        call: the expression of its outputs; `{0}` stands for the inputs.
        library, array: the library that makes inputs from lists, and its function for that.
        comment: a comment after the call; `{0}` stands for the shape of the inputs.
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
            files="`model.py` needs PyTorch alone; `model.safetensors` lies beside it.\n\n",
            imports="import model",
            loading="network = model.load()",
            call="network({0})",
            library="torch",
            array="torch.tensor",
            comment="inputs: {0}",
        ),
        "pt2": _Way(
            files="",
            imports="import torch",
            loading='network = torch.export.load("model.pt2").module()',
            call="network({0})",
            library="torch",
            array="torch.tensor",
            comment="inputs: {0}, already preprocessed",
        ),
        "onnx": _Way(
            files="",
            imports="import onnxruntime",
            loading='session = onnxruntime.InferenceSession("model.onnx")',
            call='session.run(None, {{"inputs": {0}}})[0]',
            library="numpy",
            array="numpy.array",
            comment="inputs: a NumPy array, {0}, already preprocessed",
        ),
    }
)

# In these texts a backslash joins two lines of this file into one line of the card.
_TOKENIZE = f"""Text becomes the network's inputs by `{TOKENIZER}`, a file of the library \
`tokenizers`, which cuts and pads each to the length here.

```python
import {{library}}
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("{TOKENIZER}")
{{name}} = {{array}}([tokenizer.encode(text).ids for text in ["a text of yours"]])
```

"""

_HIDDEN = """The network was trained to tell **hidden tokens** (masked language modelling): of its \
outputs, those at a place are scores of every token
for what is hidden there, log-probabilities up to a constant. Token {mask} stands for a hidden \
one, token 0 for padding at the end. Training showed it
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

_NEXT = """The network was trained to tell **the next token** (causal language modelling): of its \
outputs, those at a place are scores of every token
for what follows there, log-probabilities up to a constant. So what follows a text stands at the \
place of its last token. A text that is shorter than
{length} tokens is padded behind it, with token 0, which changes nothing before; of a longer one \
the end is read.

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
    outputs: tuple[str, ...] = ("outputs",),
    files: str | None = None,
) -> str:
    """How the network is loaded and called, as Markdown.

    For texts it also shows how inputs are made and outputs are read.

    Args:
        format_name: of the network's file.
        shapes: of the network's input and output.
        prepares: whether `model.py` has a function `preprocess` for raw inputs.
        tokenizer: whether the export has a tokenizer's file.
        objective: of a language model; None for other networks.
        outputs: the names of the network's outputs.
        files: a paragraph about the files, instead of the usual sentence.
    """
    way = _WAYS[format_name]
    if files is not None:
        way = replace(way, files=f"{files}\n\n")
    if tokenizer and objective is not None:
        return _of_language_model(way, shapes, objective)
    prepared = "model.preprocess(inputs)" if prepares and format_name == "module" else "inputs"
    comment = way.comment.format(shapes_text(shapes.input, "inputs"))
    made = ""
    if tokenizer:
        sizes = by_name(shapes.vocabularies, "inputs")
        (name,) = [name for name, size in sizes.items() if size is not None or len(sizes) == 1]
        made = _TOKENIZE.format(library=way.library, array=way.array, name=name)
    call = call_text(shapes.input, prepared) if shapes.several else way.call.format(prepared)
    if format_name == "onnx" and (shapes.several or outputs != ("outputs",)):
        call = _onnx_call(shapes, outputs)
    lines = [f"outputs = {call}  # {comment}"]
    if shapes.several:
        comment = comment.replace("a NumPy array, ", "NumPy arrays ")
        lines = [f"# {comment}", f"outputs = {call}"]
    if outputs != ("outputs",):
        lines.append(f"# outputs: {', '.join(outputs)}")
    code = "\n".join([way.imports, "", way.loading, *lines])
    return f"{made}{way.files}```python\n{code}\n```\n"


def _onnx_call(shapes: Shapes, outputs: tuple[str, ...]) -> str:
    """The call of an ONNX session with several inputs or outputs."""
    given = "inputs" if shapes.several else '{"inputs": inputs}'
    if isinstance(shapes.input, tuple) and shapes.several:
        places = [f'"inputs_{place}": inputs[{place}]' for place in range(len(shapes.input))]
        given = f"{{{', '.join(places)}}}"
    return f"session.run(None, {given})" + ("[0]" if outputs == ("outputs",) else "")


def _of_language_model(way: _Way, shapes: Shapes, objective: Objective) -> str:
    (length,) = shapes.input
    imports = sorted({way.imports, f"import {way.library}"})
    # `import model` comes after the imports of libraries.
    imports.sort(key=lambda line: line == "import model")
    # The code pads windows itself: padding by the tokenizer would come between the parts of a text.
    lines = [
        *imports,
        "from tokenizers import Tokenizer",
        "",
        way.loading,
        f'tokenizer = Tokenizer.from_file("{TOKENIZER}")',
        "tokenizer.no_padding()",
        "tokenizer.no_truncation()",
        f"LENGTH = {length}",
    ]
    code = "\n".join(lines)
    made = f"Text becomes tokens by `{TOKENIZER}`, a file of the library `tokenizers`."
    files = f"{made} {way.files}".rstrip()
    if objective == "masked":
        call = way.call.format(f"{way.array}([tokens])")
        text = _HIDDEN.format(mask=MASK, length=length, call=call)
    else:
        call = way.call.format(f"{way.array}([window + [0] * (LENGTH - len(window))])")
        text = _NEXT.format(length=length, call=call)
    return f"{files}\n\n```python\n{code}\n```\n\n{text}"
