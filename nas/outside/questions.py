"""A space's program as a sequence of questions, each answered by the number of an option.

    first -> Question -> after(question, option) -> Question -> ... -> Architecture, or Rejected

The last answer makes an architecture. Questions with a single answer are not asked. A real number,
or a whole number with more values than `bins`, has `bins` options in equal steps on its own scale,
both ends included. A subset is asked label by label (out, or in), a permutation place by place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.seeds import generator
from spaces import Architecture, SearchSpace
from spaces.domains import Answer, Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.operators import domains, next_question, sample
from spaces.steady import Steady

# The number of random architectures in a survey.
SURVEYED = 100


class NoOption(Exception):
    """An action that is no option of the question; the message gives the options."""


@dataclass(frozen=True)
class Question:
    """The next question, with all answers before it.

    Attributes:
        path: the path of the choice.
        options: the possible answers; for a subset or permutation those to its next part.
        domain: the domain of the choice.
        picked: the parts of its answer so far.
        answers: the answers to the choices before it, by path.
    """

    path: str
    options: tuple[Answer, ...]
    domain: Domain
    picked: tuple[Answer, ...] = ()
    answers: tuple[tuple[str, Answer], ...] = ()

    @property
    def name(self) -> str:
        """The path; of a subset with the label in question, of a permutation with the position."""
        if isinstance(self.domain, Subset):
            return f"{self.path}[{self.domain.labels[len(self.picked)]}]"
        if isinstance(self.domain, Permutation):
            return f"{self.path}[{len(self.picked)}]"
        return self.path


@dataclass(frozen=True)
class Survey:
    """The sizes of a space's questions, from random architectures.

    Attributes:
        num_actions: the largest number of options of a question.
        num_steps: the largest number of questions of an architecture.
        widths: the number of options of each question, if all architectures have the same
            questions and none is a subset or permutation; else None.
    """

    num_actions: int
    num_steps: int
    widths: tuple[int, ...] | None


def first(space: SearchSpace, bins: int) -> Question | Architecture:
    """The first question; or the architecture, if the space has only one.

    Raises:
        Rejected: the program rejects everything.
    """
    return _next(space, (), bins)


def after(
    space: SearchSpace, question: Question, option: int, bins: int
) -> Question | Architecture:
    """The next question or the architecture, after the question is answered by one of its options.

    Args:
        space: the space.
        question: the question.
        option: the number of the option, 0 <= option < len(question.options).
        bins: the number of options of a real number.

    Raises:
        Rejected: the program rejects the answers.
    """
    return _within(space, question, (*question.picked, question.options[option]), bins)


def played(space: SearchSpace, options: Sequence[int], bins: int) -> Architecture:
    """The architecture to which the options lead; after the last question only -1 may follow.

    Raises:
        Rejected: the program rejects the answers.
        NoOption: a question has no such option, or the options end before the questions do.
    """
    state = first(space, bins)
    for place, option in enumerate(options):
        if isinstance(state, Architecture):
            if option == -1:
                continue
            raise NoOption(
                f"the architecture is complete after {place} options; {option} came after them"
            )
        check_option(state, option)
        state = after(space, state, option, bins)
    if isinstance(state, Question):
        raise NoOption(
            f"the options end after {len(options)}, before the question {state.name!r} with "
            f"{len(state.options)} options"
        )
    return state


def check_option(question: Question, option: int) -> None:
    """Refuses a number that is no option of the question.

    Raises:
        NoOption: it is none.
    """
    if not 0 <= option < len(question.options):
        raise NoOption(
            f"the question {question.name!r} has the options 0 to {len(question.options) - 1}; "
            f"got {option}"
        )


def survey(space: SearchSpace, bins: int) -> Survey:
    """The sizes of the space's questions, from `SURVEYED` random architectures."""
    random = generator(0, "survey")
    widths = set[tuple[tuple[str, int], ...]]()
    num_steps, plain = 0, True
    for _ in range(SURVEYED):
        decided = domains(space, sample(space, random))
        asked = [(path, domain) for path, domain in decided.items() if domain.size != 1]
        plain = plain and not any(isinstance(domain, Subset | Permutation) for _, domain in asked)
        widths.add(tuple((path, len(_options(domain, (), bins))) for path, domain in asked))
        num_steps = max(num_steps, sum(_most_parts(domain) for _, domain in asked))
    num_actions = max((width for item in widths for _, width in item), default=0)
    (alike, *others) = widths
    if others or not plain:
        return Survey(num_actions, num_steps, None)
    return Survey(num_actions, num_steps, tuple(width for _, width in alike))


def _next(
    space: SearchSpace, answers: tuple[tuple[str, Answer], ...], bins: int
) -> Question | Architecture:
    """The next question after all these answers, or the architecture if there is none."""
    found = next_question(space, dict(answers))
    if isinstance(found, Architecture):
        return found
    path, domain = found
    return _within(space, Question(path, (), domain, (), answers), (), bins)


def _within(
    space: SearchSpace, question: Question, picked: tuple[Answer, ...], bins: int
) -> Question | Architecture:
    """The next part of the question's answer, or the next question if all parts are picked."""
    while len(options := _options(question.domain, picked, bins)) == 1:
        picked = (*picked, *options)
    if options:
        return Question(question.path, options, question.domain, picked, question.answers)
    answer = _answer(question.domain, picked)
    return _next(space, (*question.answers, (question.path, answer)), bins)


def _options(domain: Domain, picked: tuple[Answer, ...], bins: int) -> tuple[Answer, ...]:
    """The possible next parts of an answer; none if it is complete."""
    if isinstance(domain, Subset):
        left, taken = len(domain.labels) - len(picked), sum(map(bool, picked))
        can = {False: taken + left - 1 >= domain.minimum, True: taken < domain.maximum}
        return tuple(part for part in (False, True) if can[part]) if left else ()
    if isinstance(domain, Permutation):
        return tuple(label for label in domain.labels if label not in picked)
    if picked:
        return ()
    if isinstance(domain, Real):
        return tuple(domain.draw(Steady(step / (bins - 1))) for step in range(bins))
    if isinstance(domain, Integer) and domain.size > bins:
        last = domain.size - 1
        return tuple(domain.low + round(step * last / (bins - 1)) for step in range(bins))
    assert isinstance(domain, OneOf | Integer)
    return tuple(domain.at(index) for index in range(domain.size))


def _answer(domain: Domain, picked: tuple[Answer, ...]) -> Answer:
    """The answer that consists of the picked parts."""
    if isinstance(domain, Subset):
        return tuple(label for label, taken in zip(domain.labels, picked, strict=True) if taken)
    return picked if isinstance(domain, Permutation) else picked[0]


def _most_parts(domain: Domain) -> int:
    """The largest number of questions for one answer."""
    if isinstance(domain, Subset):
        return len(domain.labels)
    # The last label of a permutation is not asked for: it is the only one left.
    return len(domain.labels) - 1 if isinstance(domain, Permutation) else 1
