"""Tokenizers encode any text, within the vocabulary and learned from the training text."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks import load_task
from nas.tasks.tokens import (
    MASK,
    PADDING,
    SPECIAL,
    UNKNOWN,
    encode_all,
    encode_each,
    to_length,
    train_tokenizer,
)
from tests.nas.tasks.texts import POEM, save_poem, save_texts


@given(
    st.lists(st.text(alphabet="ab \n<é", max_size=20), min_size=1, max_size=8), st.integers(0, 30)
)
@settings(max_examples=30, deadline=None)
def test_tokens_lose_nothing_and_are_within_the_vocabulary(texts, more):
    least = 3 + len({byte for text in texts for byte in text.encode()})
    tokenizer = train_tokenizer(texts, least + more, mask=True)
    tokens = encode_all(tokenizer, texts)
    assert tokenizer.decode(tokens.tolist()) == "".join(texts)
    assert tokenizer.get_vocab_size() <= least + more
    assert tokens.dtype == torch.int64
    assert ((tokens > MASK) & (tokens < tokenizer.get_vocab_size())).all()


def test_a_text_is_cut_and_padded_and_cannot_spell_a_special_token():
    tokenizer = to_length(
        train_tokenizer(["abab", "ab c <>pdingtokeuwms"], 40, mask=True, sentences=True), 4
    )
    tokens = encode_each(tokenizer, ["a", "ab", "ababababab", "☃", *SPECIAL])
    assert tokens.shape == (7, 4)
    assert tokens[0, -2:].tolist() == [PADDING] * 2
    assert (tokens[2] > MASK).all()
    assert (tokens[3] == UNKNOWN).sum() == 3
    assert (tokens[4:] > MASK).all(), "a text that spells a special token is not that token"


def test_a_vocabulary_that_cannot_be_says_the_least():
    with pytest.raises(
        ValueError,
        match=(
            "the text has 3 different bytes, and 2 tokens are special: vocabulary is at least 5, "
            "got 4"
        ),
    ):
        train_tokenizer(["abc"], 4)
    assert train_tokenizer(["abc"], 5).get_vocab_size() == 5


def test_a_missing_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match=r"surrogate-nas\[text\]"):
        load_task("text", path=save_texts(tmp_path / "a.tsv"))


def test_the_same_tokens_in_another_process(tmp_path):
    path = save_texts(tmp_path / "a.tsv")
    code = (
        "import sys; from nas.tasks import load_task; print(load_task('text', "
        "path=sys.argv[1]).tokenizer)"
    )
    command = [sys.executable, "-c", code, path]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert json.loads(printed) == json.loads(load_task("text", path=path).tokenizer)


def test_the_tokenizer_has_seen_the_training_texts_only(tmp_path):
    known = save_texts(tmp_path / "a.tsv")
    strange = [tmp_path / "b.tsv", tmp_path / "c.tsv"]
    for file in strange:
        file.write_text("ZZZZ ZZZZ\tpraise\nQQQQ QQQQ\tblame\n" * 9)
    task = load_task(
        "text", path=known, test=str(strange[0]), validation=str(strange[1]), vocabulary=2000
    )
    assert not any("Z" in token or "Q" in token for token in vocabulary(task))
    assert (task.test.inputs == UNKNOWN).any()
    poem = load_task(
        "language_model",
        path=save_poem(tmp_path / "poem.txt", POEM + "ZQ" * 400),
        length=8,
        validation_share=0.3,
        test_share=0.2,
    )
    assert not any("Z" in token or "Q" in token for token in vocabulary(poem))


def vocabulary(task):
    return json.loads(task.tokenizer)["model"]["vocab"]
