"""Architectures' answers as rows of categories, for models that do not know spaces, and back.

A question has one column or several:

    one_of             a column, a category for each option
    integer, real      a column of at most `BINS` ranges of equal width, on the question's own scale
    subset             a column for each option: not chosen (0), or chosen (1)
    permutation        a column for each option: its place, in at most `BINS` ranges

If some architectures are not asked the question, each of its columns has one more category at the
end: not asked. In the other direction, a number is drawn from its range, and categories that are no
valid answer (too many chosen options, two options at one place) are repaired at random.

Shapes: N architectures, G columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy

from spaces.domains import Answer, Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.steady import Steady

BINS = 16


@dataclass(frozen=True)
class Codes:
    """How answers are coded as categories.

    Attributes:
        questions: each question as (path, domain, whether every architecture is asked it), in the
            order of the columns.
    """

    questions: tuple[tuple[str, Domain, bool], ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """(G,) the number of categories of each column."""
        return tuple(
            size + (not always) for _, domain, always in self.questions for size in _sizes(domain)
        )

    def encode(self, answers: Sequence[Mapping[str, Answer]]) -> numpy.ndarray:
        """(N, G) the categories of architectures' answers."""
        rows = []
        for each in answers:
            row: list[int] = []
            for path, domain, _ in self.questions:
                if path in each and domain.accepts(each[path]):
                    row += _encode(domain, each[path])
                else:
                    row += _sizes(domain)
            rows.append(row)
        return numpy.array(rows, dtype=numpy.int64).reshape(len(rows), len(self.sizes))

    def decode(self, code_G: Sequence[int], random: Random) -> dict[str, Answer]:
        """Random answers that have these categories, by path.

        A question is left out if its first column has the category "not asked".
        """
        answers: dict[str, Answer] = {}
        first = 0
        for path, domain, _ in self.questions:
            sizes = _sizes(domain)
            codes = [int(code) for code in code_G[first : first + len(sizes)]]
            first += len(sizes)
            if codes[0] < sizes[0] and path not in answers:
                # A later column may still have the category "not asked".
                known = [min(code, size - 1) for code, size in zip(codes, sizes, strict=True)]
                answers[path] = _decode(domain, known, random)
        return answers


def codes(asked: Sequence[Mapping[str, Domain]]) -> Codes:
    """The coding of architectures whose questions have these domains, by path.

    `operators.domains` gives the domains of one architecture. If architectures have different
    domains at one path, numbers and options are coded by the union of their answers. Domains of
    different kinds, and different subsets or permutations, become separate questions. A question
    with only one answer that every architecture is asked has no column.

    >>> code = codes([{"op": OneOf(("conv", "pool")), "depth": Integer(1, 3)}])
    >>> code.sizes, code.encode([{"op": "pool", "depth": 1}]).tolist()
    ((2, 3), [[1, 0]])
    """
    merged: dict[tuple[str, object], Domain] = {}
    times: dict[tuple[str, object], int] = {}
    for domains in asked:
        for path, domain in domains.items():
            key = (path, type(domain) if isinstance(domain, OneOf | Integer | Real) else domain)
            merged[key] = _merge(merged[key], domain) if key in merged else domain
            times[key] = times.get(key, 0) + 1
    questions = []
    for (path, kind), domain in merged.items():
        always = times[path, kind] == len(asked)
        if domain.size != 1 or not always:
            questions.append((path, domain, always))
    return Codes(tuple(questions))


def _merge(one: Domain, other: Domain) -> Domain:
    if one == other:
        return one
    if isinstance(one, OneOf) and isinstance(other, OneOf):
        return OneOf((*one.labels, *(label for label in other.labels if label not in one.labels)))
    if isinstance(one, Integer) and isinstance(other, Integer):
        return Integer(min(one.low, other.low), max(one.high, other.high))
    if isinstance(one, Real) and isinstance(other, Real):
        return Real(min(one.low, other.low), max(one.high, other.high), one.log and other.log)
    return one


def _sizes(domain: Domain) -> list[int]:
    """The number of categories of each of the question's columns, without "not asked"."""
    if isinstance(domain, Subset):
        return [2] * len(domain.labels)
    if isinstance(domain, Permutation):
        return [min(len(domain.labels), BINS)] * len(domain.labels)
    if isinstance(domain, OneOf):
        return [domain.size]
    return [BINS if domain.size is None else min(domain.size, BINS)]


def _encode(domain: Domain, answer: Answer) -> list[int]:
    sizes = _sizes(domain)
    if isinstance(domain, OneOf):
        return [domain.labels.index(answer)]
    if isinstance(domain, Subset):
        assert isinstance(answer, tuple)
        return [int(label in answer) for label in domain.labels]
    if isinstance(domain, Permutation):
        assert isinstance(answer, tuple)
        return [answer.index(label) * sizes[0] // len(domain.labels) for label in domain.labels]
    assert isinstance(domain, Integer | Real)
    assert isinstance(answer, int | float)
    return [min(int(_share(domain, answer) * sizes[0]), sizes[0] - 1)]


def _share(domain: Integer | Real, answer: float) -> float:
    """The answer's place in its domain, from 0 to 1; a whole number at its cell's middle."""
    if isinstance(domain, Integer):
        return (answer - domain.low + 0.5) / domain.size
    if domain.low == domain.high:
        return 0.0
    if domain.log:
        return math.log(answer / domain.low) / math.log(domain.high / domain.low)
    return (answer - domain.low) / (domain.high - domain.low)


def _decode(domain: Domain, codes: list[int], random: Random) -> Answer:
    if isinstance(domain, Permutation):
        order = sorted(range(len(codes)), key=lambda label: (codes[label], random.random()))
        return tuple(domain.labels[label] for label in order)
    if isinstance(domain, Subset):
        chosen = [label for label, code in zip(domain.labels, codes, strict=True) if code]
        return _mended(domain, chosen, random)
    return domain.draw(Steady((codes[0] + random.random()) / _sizes(domain)[0]))


def _mended(domain: Subset, chosen: list[Answer], random: Random) -> Answer:
    """The chosen options; if they are too many or too few, random ones are removed or added."""
    others = [label for label in domain.labels if label not in chosen]
    kept = random.sample(chosen, min(len(chosen), domain.maximum))
    kept += random.sample(others, max(0, domain.minimum - len(kept)))
    return tuple(label for label in domain.labels if label in kept)
