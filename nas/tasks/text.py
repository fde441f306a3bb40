"""Classification of your own texts: a file with a text and its label on each line."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch

from nas.tasks.splits import class_numbers, refuse_one_file, stratified_split
from nas.tasks.task import Split, Task
from nas.tasks.tokens import encode_each, read_text, to_length, train_tokenizer
from spaces import Shapes

# A text, its label, and where it stands.
_Row = tuple[str, str, str]


def text(
    path: str,
    *,
    test: str | None = None,
    validation: str | None = None,
    length: int = 64,
    vocabulary: int = 4000,
    text_column: int = 0,
    label_column: int = 1,
    header: bool = False,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Task:
    """A task on the texts in a file of columns with tabs between them, split by class with the
    given seed. Inputs (length,), tokens; see `nas.tasks.tokens`.

    Args:
        path: a UTF-8 file, a text and its label on each line, but for empty lines. A label is any
            word; the classes are the labels, sorted.
        test, validation: further such files. Without them `test_share` of the texts become the test
            split, `validation_share` the validation split.
        length: how many tokens of a text the network sees; shorter ones are padded with token 0,
            which a network may tell by itself.
        vocabulary: at most so many tokens, learned from the training split's texts.
        text_column, label_column: their numbers, from 0.
        header: the first line names the columns, and is no text.

    Raises:
        ValueError: a file is not so, the message says on which line; or `tokenizers` is not
            installed.
    """
    if length < 1:
        raise ValueError(
            f"length is how many tokens of a text a network sees, at least 1; got {length}"
        )
    if min(text_column, label_column) < 0 or text_column == label_column:
        raise ValueError(
            f"text_column and label_column are two numbers from 0; got {text_column} and "
            f"{label_column}"
        )
    files = {
        part: file
        for part, file in (("test", test), ("validation", validation))
        if file is not None
    }
    refuse_one_file({"path": path, **files})
    whole, *given = (
        _read(file, text_column, label_column, header) for file in (path, *files.values())
    )
    classes = _sorted({label for _, label, _ in whole})
    _check_classes(whole, label_column, header, path)
    labels = class_numbers(_numbers(whole, classes, path), path)
    shares = {
        part: share
        for part, share in (("test", test_share), ("validation", validation_share))
        if part not in files
    }
    names = tuple(f"{part}_share" for part in shares)
    drawn = (
        [whole[row] for row in rows]
        for rows in stratified_split(labels, tuple(shares.values()), seed, names)
    )
    rows = dict(zip((*files, *shares, "train"), (*given, *drawn), strict=True))
    tokenizer = to_length(
        train_tokenizer([text for text, _, _ in rows["train"]], vocabulary, sentences=True), length
    )

    def split(part: str) -> Split:
        return Split(
            encode_each(tokenizer, [text for text, _, _ in rows[part]]),
            torch.from_numpy(_numbers(rows[part], classes, path)),
        )

    shapes = Shapes((length,), (len(classes),), vocabulary=tokenizer.get_vocab_size())
    described = {"classes": tuple(classes), "tokenizer": tokenizer.to_str()}
    return Task(
        Path(path).stem, split("train"), split("validation"), split("test"), shapes, **described
    )


def _read(path: str, text_column: int, label_column: int, header: bool) -> list[_Row]:
    rows = []
    lines = read_text(path).removesuffix("\n").split("\n")
    for number, line in enumerate(lines[header:], start=1 + header):
        where = f"line {number} of {path}"
        columns = line.removesuffix("\r").split("\t")
        if columns == [""]:
            continue
        if len(columns) <= max(text_column, label_column):
            raise ValueError(
                f"{where} should have a text in column {text_column} and a label in column "
                f"{label_column}, with tabs between the columns (the first is "
                f"column 0); it has {len(columns)}: {line[:60]!r}"
            )
        text, label = columns[text_column].strip(), columns[label_column].strip()
        if not text or not label:
            raise ValueError(
                f"{where} has an empty {'label' if text else 'text'}: {line[:60]!r}; leave the "
                "line out"
            )
        rows.append((text, label, where))
    if not rows:
        raise ValueError(f"{path} holds no texts")
    return rows


def _check_classes(rows: list[_Row], label_column: int, header: bool, path: str) -> None:
    """Two mistakes of the columns, which would pass for a class."""
    first, *others = [label for _, label, _ in rows]
    if not set(others) - {first}:
        raise ValueError(
            f"all texts of {path} have one label, {first!r}: there is nothing to tell apart; is "
            f"label_column {label_column} the right one?"
        )
    if not header and first not in others:
        raise ValueError(
            f"{rows[0][2]} has the label {first!r}, which no other line has: if the line names "
            "the columns, set header: true; else leave it out, "
            "for one text is no class"
        )


def _sorted(labels: set[str]) -> list[str]:
    """By their value where all are whole numbers, else as words."""
    numbers = all(label.isdecimal() for label in labels)
    return sorted(labels, key=lambda label: (int(label) if numbers else 0, label))


def _numbers(rows: list[_Row], classes: list[str], path: str) -> numpy.ndarray:
    number_of = {label: number for number, label in enumerate(classes)}
    for _, label, where in rows:
        if label not in number_of:
            raise ValueError(
                f"{where} has the label {label!r}, which no line of {path} has; its labels are "
                f"{', '.join(classes[:20])}"
            )
    return numpy.array([number_of[label] for _, label, _ in rows], dtype=numpy.int64)
