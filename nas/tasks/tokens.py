"""Turns text into tokens by byte-pair encoding, with the library `tokenizers` (the extra `text`).

The encoding is learned from the training text alone. The tokens are pieces of the text's bytes, so
any text can be encoded. Token 0 is the padding, and token 1 stands for each byte that does not
occur in the training text.
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
# They contain a space, which the byte-level alphabet does not have. So no text can equal one.
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
    """A byte-pair encoding (Sennrich et al. 2016) that is learned from the texts.

    The same texts give the same encoding. Pairs that occur only once are not merged, so short texts
    give fewer tokens than `vocabulary`.

    Args:
        texts: to learn from.
        vocabulary: the most tokens, the special ones included.
        mask: whether token 2 is the mask.
        sentences: whether a text is encoded as if a space preceded it, so that its first word gets
            the same token as elsewhere in the text.

    Raises:
        ValueError: the library is not installed, or the different bytes of the texts alone need
            more tokens.
    """
    if vocabulary < 1:
        raise ValueError(f"vocabulary is how many tokens there may be at most; got {vocabulary}")
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise ValueError(
            "the library `tokenizers`, which turns text into tokens, is not installed: `pip "
            "install surrogate-nas[text]`"
        ) from error
    special = SPECIAL[: 3 if mask else 2]
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=sentences)
    tokenizer.decoder = decoders.ByteLevel()
    # The library reserves memory for `vocab_size` tokens, so a huge vocabulary is reduced. Each
    # merge shortens the text, so there cannot be more tokens than this bound.
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
    # Without this change a text that spells a special token would be encoded as that token.
    described = {**json.loads(tokenizer.to_str()), "added_tokens": []}
    return Tokenizer.from_str(json.dumps(described))


def to_length(tokenizer: Tokenizer, length: int) -> Tokenizer:
    """A copy of the tokenizer that gives exactly `length` tokens for each text.

    Longer texts are cut, and shorter ones are padded at the end.
    """
    fixed = type(tokenizer).from_str(tokenizer.to_str())
    fixed.enable_truncation(length)
    fixed.enable_padding(pad_id=PADDING, pad_token=SPECIAL[PADDING], length=length)
    return fixed


def encode_each(fixed: Tokenizer, texts: Sequence[str]) -> Tensor:
    """The tokens of each text, (texts, length) int64, by a tokenizer of fixed length."""
    return torch.tensor([encoding.ids for encoding in fixed.encode_batch(list(texts))])


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """The tokens of all texts one after the other, (tokens,) int64."""
    encodings = tokenizer.encode_batch(list(texts))
    tokens = [token for encoding in encodings for token in encoding.ids]
    return torch.tensor(tokens, dtype=torch.int64)
