"""The task `language_model`: predicting hidden tokens or the next token of your own text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nas.seeds import derive
from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.task import Split, Task
from nas.tasks.tokens import encode_all, read_text, to_length, train_tokenizer
from spaces import Shapes


def language_model(
    path: str,
    *,
    objective: Literal["masked", "causal"] = "masked",
    length: int = 64,
    vocabulary: int = 1000,
    metric: Literal["negative_nats_per_token", "token_accuracy"] = "negative_nats_per_token",
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Task:
    """The task of predicting tokens in the windows of one text.

    An input is a window of tokens (length,). An output (length, vocabulary) holds the
    log-probabilities of all tokens at each position, up to a constant.

    The text is split by position: the first part is for training, the next for validation, the last
    for the test. Windows do not overlap and do not cross the borders of the parts.

    Args:
        path: a UTF-8 file.
        objective: with `masked` 15 % of the tokens of each window are hidden and predicted; they
            are drawn anew for each training batch. With `causal` every next token is predicted, and
            networks that see it are refused.
        length: the number of tokens in a window.
        vocabulary: the most tokens of the vocabulary, which is learned from the training part.
        metric: `negative_nats_per_token` is the mean log-likelihood of a token in nats;
            `token_accuracy` is the share of correctly predicted tokens. With `masked` only the
            hidden tokens count.
        validation_share: the share of the text that is for validation.
        test_share: the share of the text that is for the test.
        seed: draws which tokens of the validation and test windows are hidden. They are the same
            for all networks.

    Raises:
        ValueError: the file is missing or too short, or `tokenizers` is not installed.
    """
    if length < 2:
        raise ValueError(f"length is the number of tokens in a window, at least 2; got {length}")
    if min(validation_share, test_share) <= 0 or validation_share + test_share >= 1:
        raise ValueError(
            "validation_share and test_share are above 0 and together below 1; got "
            f"{validation_share} and {test_share}"
        )
    masked, whole = objective == "masked", read_text(path)
    if not whole.strip():
        raise ValueError(f"{path} holds no text, {'only blanks' if whole else 'it is empty'}")
    borders = (0, 1 - validation_share - test_share, 1 - test_share, 1)
    cuts = [round(share * len(whole)) for share in borders]
    # Split into lines, because the tokenizer is faster on many short texts than on one long text.
    parts = [whole[first:last].splitlines(keepends=True) for first, last in pairwise(cuts)]
    tokenizer = train_tokenizer(parts[0], vocabulary, mask=masked)
    size = tokenizer.get_vocab_size()
    train, validation, test = (
        _windows(encode_all(tokenizer, lines), length, masked, f"the {part} part of {path}")
        for part, lines in zip(("training", "validation", "test"), parts, strict=True)
    )
    masking = Masking(size)
    if masked:
        validation = _hidden(validation, masking, derive(seed, "masks: validation"))
        test = _hidden(test, masking, derive(seed, "masks: test"))
    return Task(
        Path(path).stem,
        train,
        validation,
        test,
        Shapes((length,), (length, size), vocabulary=size),
        loss="token_cross_entropy",
        metric=metric,
        tokenizer=to_length(tokenizer, length).to_str(),
        corrupt=masking if masked else None,
        check=None if masked else Causal(size),
    )


def _windows(tokens: Tensor, length: int, masked: bool, where: str) -> Split:
    """Consecutive windows with their targets, which are the same tokens or the next ones.

    With `masked` a window is its own target; otherwise its targets are the tokens one position
    later. Tokens at the end that do not fill a window are dropped.
    """
    count = (len(tokens) - (not masked)) // length
    if count < 1:
        raise ValueError(
            f"{where} has {len(tokens)} tokens, too few for one window of {length}: give more "
            "text, a smaller length, or other shares"
        )
    inputs = tokens[: count * length].reshape(count, length)
    if masked:
        return Split(inputs, inputs)
    return Split(inputs, tokens[1 : count * length + 1].reshape(count, length))


def _hidden(split: Split, masking: Masking, seed: int) -> Split:
    return Split(*masking(split.inputs, split.targets, torch.Generator().manual_seed(seed)))
