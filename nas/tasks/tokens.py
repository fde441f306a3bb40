"""From text to tokens: byte-pair encoding, trained on the training text alone, by the library
`tokenizers` (the extra `text`).

The tokens are pieces of the text's bytes, so that any text can be read and none is lost; 0 is the
padding, 1 a byte that the training text has not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PADDING, UNKNOWN, MASK = range(3)
# With a space in them, which the byte-level alphabet has not: no text is ever one of these.
SPECIAL = ("<padding token>", "<unknown token>", "<mask token>")


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        ValueError: there is no such file, or it is not UTF-8.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path} (looked from {Path.cwd()})")
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} should be text in UTF-8; its byte {error.start} is not: {error.reason}"
        ) from error


def train_tokenizer(
    texts: Sequence[str], vocabulary: int, *, mask: bool = False, sentences: bool = False
) -> Tokenizer:
    """Byte-pair encoding (Sennrich et al. 2016) of at most so many tokens, the special ones
    included; the same for the same texts.

    Pairs that occur once are not merged, so a short text makes fewer tokens.

    Args:
        mask: token 2 is the mask.
        sentences: a text begins as if a space came before it, so that its first word is the token
            that it is further on.

    Raises:
        ValueError: the library is not installed, or the texts' different bytes alone are more
            tokens.
    """
    if vocabulary < 1:
        raise ValueError(f"vocabulary is how many tokens there may be at most; got {vocabulary}")
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise ValueError(
            "text is made into tokens by the library `tokenizers`, not installed here: `pip "
            "install surrogate-nas[text]`"
        ) from error
    special = SPECIAL[: 3 if mask else 2]
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=sentences)
    tokenizer.decoder = decoders.ByteLevel()
    # The library makes room for as many as it is told; each merge of a pair leaves fewer
    # characters, so there are never more than this.
    most = min(vocabulary, len(special) + 256 + sum(len(text.encode()) for text in texts))
    trainer = trainers.BpeTrainer(
        vocab_size=most, min_frequency=2, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() > vocabulary:
        least = tokenizer.get_vocab_size()
        raise ValueError(
            f"the text has {least - len(special)} different bytes, and {len(special)} tokens are "
            f"special: vocabulary is at least {least}, got {vocabulary}"
        )
    # As the library leaves them, a text that spells a special token would become it.
    described = {**json.loads(tokenizer.to_str()), "added_tokens": []}
    return Tokenizer.from_str(json.dumps(described))


def to_length(tokenizer: Tokenizer, length: int) -> Tokenizer:
    """The same tokenizer, which gives `length` tokens for each text: longer ones are cut, shorter
    ones padded at the end.
    """
    fixed = type(tokenizer).from_str(tokenizer.to_str())
    fixed.enable_truncation(length)
    fixed.enable_padding(pad_id=PADDING, pad_token=SPECIAL[PADDING], length=length)
    return fixed


def encode_each(fixed: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Tokens (texts, length), int64, by a tokenizer of fixed length."""
    return torch.tensor([encoding.ids for encoding in fixed.encode_batch(list(texts))])


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """The tokens of all the texts one after the other, int64."""
    return torch.tensor(
        [token for encoding in tokenizer.encode_batch(list(texts)) for token in encoding.ids],
        dtype=torch.int64,
    )
