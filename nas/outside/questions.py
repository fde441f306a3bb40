"""A space's program as a game of questions: each is answered by the number of one of its options,
and the last answer makes an architecture.

    first -> Question -> after(question, option) -> Question -> ... -> Architecture, or Rejected

Questions with a single answer are not asked. A real number, or a whole number with more values than
`bins`, has `bins` values with equal steps on its own scale, both ends among them. A subset is asked
label by label (without it, or with it), a permutation place by place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.seeds import generator
from spaces import Architecture, SearchSpace
from spaces.domains import Answer, Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.operators import Steady, domains, next_question, sample

# How many random architectures a survey looks at.
SURVEYED = 100


class NoOption(Exception):
    """An action that is no answer to the question; the message says which there are."""


@dataclass(frozen=True)
class Question:
    """What is asked next, and all that was answered before it.

    Attributes:
        path: of the choice.
        options: the answers, or of a subset or permutation the next part of the answer.
        domain: all answers to the choice.
        picked: the parts of its answer so far.
        answers: to the choices before it.
    """

    path: str
    options: tuple[Answer, ...]
    domain: Domain
    picked: tuple[Answer, ...] = ()
    answers: tuple[tuple[str, Answer], ...] = ()

    @property
    def name(self) -> str:
        """The path; of a subset with the label that is in question, of a permutation with the
        place.
        """
        if isinstance(self.domain, Subset):
            return f"{self.path}[{self.domain.labels[len(self.picked)]}]"
        return (
            f"{self.path}[{len(self.picked)}]"
            if isinstance(self.domain, Permutation)
            else self.path
        )


@dataclass(frozen=True)
class Survey:
    """What random architectures tell of a space's questions.

    Attributes:
        num_actions: the largest number of options.
        num_steps: no architecture took more questions.
        widths: the number of options of each question where all architectures were asked the same;
            None elsewhere.
    """

    num_actions: int
    num_steps: int
    widths: tuple[int, ...] | None


def first(space: SearchSpace, bins: int) -> Question | Architecture:
    """The first question; an architecture where the space has no other.

    Raises:
        Rejected: the program refuses everything.
    """
    return _next(space, (), bins)


def after(
    space: SearchSpace, question: Question, option: int, bins: int
) -> Question | Architecture:
    """What comes after the question is answered by its option of that number, 0 <= option <
    len(question.options).

    Raises:
        Rejected: the program refuses the answers.
    """
    return _within(space, question, (*question.picked, question.options[option]), bins)


def played(space: SearchSpace, options: Sequence[int], bins: int) -> Architecture:
    """The architecture to which the options lead; what stands behind the last question may be -1
    only.

    Raises:
        Rejected: the program refuses them.
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
    """Refuses what is no option of the question.

    Raises:
        NoOption: with what there is.
    """
    if not 0 <= option < len(question.options):
        raise NoOption(
            f"the question {question.name!r} has the options 0 to {len(question.options) - 1}; "
            f"got {option}"
        )


def survey(space: SearchSpace, bins: int) -> Survey:
    """The measures of the space's questions, from random architectures."""
    random = generator(0, "survey")
    widths = set[tuple[tuple[str, int], ...]]()
    num_steps, plain = 0, True
    for _ in range(SURVEYED):
        asked = [
            (path, domain)
            for path, domain in domains(space, sample(space, random)).items()
            if domain.size != 1
        ]
        plain = plain and not any(isinstance(domain, Subset | Permutation) for _, domain in asked)
        widths.add(tuple((path, len(_options(domain, (), bins))) for path, domain in asked))
        num_steps = max(num_steps, sum(_most_parts(domain) for _, domain in asked))
    num_actions = max((width for item in widths for _, width in item), default=0)
    (alike, *others) = widths
    return Survey(
        num_actions, num_steps, tuple(width for _, width in alike) if plain and not others else None
    )


def _next(
    space: SearchSpace, answers: tuple[tuple[str, Answer], ...], bins: int
) -> Question | Architecture:
    found = next_question(space, dict(answers))
    return (
        found
        if isinstance(found, Architecture)
        else _within(space, Question(found[0], (), found[1], (), answers), (), bins)
    )


def _within(
    space: SearchSpace, question: Question, picked: tuple[Answer, ...], bins: int
) -> Question | Architecture:
    """The next part of the question's answer, or the next question where all parts are picked."""
    while len(options := _options(question.domain, picked, bins)) == 1:
        picked = (*picked, *options)
    if options:
        return Question(question.path, options, question.domain, picked, question.answers)
    return _next(
        space, (*question.answers, (question.path, _answer(question.domain, picked))), bins
    )


def _options(domain: Domain, picked: tuple[Answer, ...], bins: int) -> tuple[Answer, ...]:
    """The next parts that an answer may have; none where it is complete."""
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
        return tuple(
            domain.low + round(step * (domain.size - 1) / (bins - 1)) for step in range(bins)
        )
    assert isinstance(domain, OneOf | Integer)
    return tuple(domain.at(index) for index in range(domain.size))


def _answer(domain: Domain, picked: tuple[Answer, ...]) -> Answer:
    if isinstance(domain, Subset):
        return tuple(label for label, taken in zip(domain.labels, picked, strict=True) if taken)
    return picked if isinstance(domain, Permutation) else picked[0]


def _most_parts(domain: Domain) -> int:
    return (
        len(domain.labels)
        if isinstance(domain, Subset)
        else len(domain.labels) - 1
        if isinstance(domain, Permutation)
        else 1
    )
