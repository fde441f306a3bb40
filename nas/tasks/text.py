"""The task `text`: classifying your own texts, from a file with a text and a label on each line."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch

from nas.tasks.splits import class_numbers, refuse_one_file, stratified_split
from nas.tasks.task import Split, Task
from nas.tasks.tokens import encode_each, read_text, to_length, train_tokenizer
from spaces import Shapes

# A text, its label, and its place in the file for messages.
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
    """The task of classifying the texts in a file whose columns are separated by tabs.

    An input is the tokens of a text (length,); see `nas.tasks.tokens`. The splits are drawn class
    by class.

    Args:
        path: a UTF-8 file with a text and its label on each line; empty lines are skipped. The
            classes are the labels, sorted.
        test, validation: further files of this form. Without `test` a share `test_share` of the
            texts becomes the test split; without `validation` the same holds for
            `validation_share`.
        length: the number of tokens of a text that the network sees. Shorter texts are padded with
            token 0, which the network can recognise.
        vocabulary: the most tokens of the vocabulary, which is learned from the training texts.
        text_column, label_column: their numbers, from 0.
        header: whether the first line holds the names of the columns.
        seed: of the splits.

    Raises:
        ValueError: a file has another form (the message names the line), or `tokenizers` is not
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
    optional = {"test": test, "validation": validation}
    files = {part: file for part, file in optional.items() if file is not None}
    refuse_one_file({"path": path, **files})
    whole = _read(path, text_column, label_column, header)
    given = [_read(file, text_column, label_column, header) for file in files.values()]
    classes = _sorted({label for _, label, _ in whole})
    _check_classes(whole, label_column, header, path)
    labels = class_numbers(_numbers(whole, classes, path), path)
    shares = {"test": test_share, "validation": validation_share}
    shares = {part: share for part, share in shares.items() if part not in files}
    names = tuple(f"{part}_share" for part in shares)
    parts = stratified_split(labels, tuple(shares.values()), seed, names)
    drawn = ([whole[row] for row in part] for part in parts)
    rows = dict(zip((*files, *shares, "train"), (*given, *drawn), strict=True))
    training_texts = [text for text, _, _ in rows["train"]]
    tokenizer = to_length(train_tokenizer(training_texts, vocabulary, sentences=True), length)

    def split(part: str) -> Split:
        return Split(
            encode_each(tokenizer, [text for text, _, _ in rows[part]]),
            torch.from_numpy(_numbers(rows[part], classes, path)),
        )

    return Task(
        Path(path).stem,
        split("train"),
        split("validation"),
        split("test"),
        Shapes((length,), (len(classes),), vocabulary=tokenizer.get_vocab_size()),
        classes=tuple(classes),
        tokenizer=tokenizer.to_str(),
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
                f"{label_column}, with tabs between the columns (the first is column 0); it has "
                f"{len(columns)}: {line[:60]!r}"
            )
        text, label = columns[text_column].strip(), columns[label_column].strip()
        if not text or not label:
            raise ValueError(
                f"{where} has an empty {'label' if text else 'text'}: {line[:60]!r}; remove the "
                "line"
            )
        rows.append((text, label, where))
    if not rows:
        raise ValueError(f"{path} holds no texts")
    return rows


def _check_classes(rows: list[_Row], label_column: int, header: bool, path: str) -> None:
    """Refuses labels that come from a wrong column or from a header line.

    Raises:
        ValueError: all texts have one label, or the label of the first line occurs only there.
    """
    first, *others = [label for _, label, _ in rows]
    if not set(others) - {first}:
        raise ValueError(
            f"all texts of {path} have one label, {first!r}: there is nothing to tell apart; is "
            f"label_column {label_column} the right one?"
        )
    if not header and first not in others:
        raise ValueError(
            f"{rows[0][2]} has the label {first!r}, which no other line has: if the line names "
            "the columns, set header: true; otherwise remove it, as a class needs several texts"
        )


def _sorted(labels: set[str]) -> list[str]:
    """The labels in ascending order: as numbers if all are whole numbers, else as words."""
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
