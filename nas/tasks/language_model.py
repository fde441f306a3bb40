"""Language modelling on your own text: hidden tokens, or the next ones, are told."""

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
    """A task on the windows of one text. Inputs (length,), tokens; outputs (length, vocabulary),
    the tokens' log-probabilities up to a constant.

    The text is cut by position: training first, then validation, the end for the test. Windows do
        not overlap, nor reach over a cut.

    Args:
        path: a UTF-8 file.
        objective: `masked` hides 15 % of each window's tokens, other ones in each training batch;
            `causal` tells every next token, and refuses networks that see it.
        length: tokens in a window.
        vocabulary: at most so many tokens, learned from the training part.
        metric: minus the mean negative log-likelihood of a token in nats, or the share of tokens
            that are right; of those hidden, if some are.
        seed: draws what is hidden of the validation and test windows, once for all networks.

    Raises:
        ValueError: the file is missing or too short, or `tokenizers` is not installed.
    """
    if length < 2:
        raise ValueError(f"length is how many tokens stand in a window, at least 2; got {length}")
    if min(validation_share, test_share) <= 0 or validation_share + test_share >= 1:
        raise ValueError(
            "validation_share and test_share are above 0 and together below 1; got "
            f"{validation_share} and {test_share}"
        )
    masked, whole = objective == "masked", read_text(path)
    if not whole.strip():
        raise ValueError(f"{path} holds no text, {'only blanks' if whole else 'it is empty'}")
    cuts = [
        round(share * len(whole))
        for share in (0, 1 - validation_share - test_share, 1 - test_share, 1)
    ]
    # Lines, because the tokenizer takes many short texts faster than one long one.
    parts = [whole[first:last].splitlines(keepends=True) for first, last in pairwise(cuts)]
    tokenizer = train_tokenizer(parts[0], vocabulary, mask=masked)
    size = tokenizer.get_vocab_size()
    train, validation, test = (
        _windows(encode_all(tokenizer, lines), length, masked, f"the {part} part of {path}")
        for part, lines in zip(("training", "validation", "test"), parts, strict=True)
    )
    masking = Masking(size)
    if masked:
        validation, test = (
            _hidden(validation, masking, derive(seed, "masks: validation")),
            _hidden(test, masking, derive(seed, "masks: test")),
        )
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
    """Windows one after the other, each with itself as the targets, or with its tokens one place
    further on; what is left over at the end is left out.
    """
    count = (len(tokens) - (not masked)) // length
    if count < 1:
        raise ValueError(
            f"{where} has {len(tokens)} tokens, too few for one window of {length}: give more "
            "text, a smaller length, or other shares"
        )
    inputs = tokens[: count * length].reshape(count, length)
    return Split(
        inputs, inputs if masked else tokens[1 : count * length + 1].reshape(count, length)
    )


def _hidden(split: Split, masking: Masking, seed: int) -> Split:
    return Split(*masking(split.inputs, split.targets, torch.Generator().manual_seed(seed)))
