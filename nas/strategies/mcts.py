"""Monte Carlo tree search over the questions of a search space.

The method is of Negrinho and Gordon, 2017 (arXiv 1704.08792), with the bounds of UCT (Kocsis and
Szepesvari, 2006).

    descend by upper confidence bounds -> answer the rest at random -> evaluate -> count the score
    in all nodes on the path, with one node added

A trial's decisions are its path through the tree. So the tree is built from the history in each
call of `ask`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from nas.record.history import History
from nas.record.trials import Trial
from nas.seeds import generator
from nas.strategies.strategy import Asked, novel, random_draws, random_proposals
from spaces import Architecture, Chooser, SearchSpace
from spaces.choices import Rejected
from spaces.domains import Answer, Domain, Integer, OneOf, Real
from spaces.operators import ATTEMPTS, domains
from spaces.steady import Steady

# The range of a real number is halved until one of this many cells is left, which are equal on the
# number's own scale. All values in a cell are one branch.
CELLS = 16


@dataclass(frozen=True)
class MCTS:
    """Answers by upper confidence bounds in the tree of past trials, and at random below it.

    The bound of an answer is mean + exploration * sqrt(2 ln N / n). Here N trials came to the
    question, n of them gave the answer, and the mean is over their scores. An answer that was never
    given comes first. Scores are scaled to [0, 1] by the best and the worst so far; a failure
    counts as the worst. Pending trials and proposals of the same batch count as visits, but do not
    change the means.

    Attributes:
        initial: at least this many are drawn at random first (whole batches); they are in the tree
            like all others.
        exploration: the constant c of UCT.
        bisection: whether a question with k ordered answers becomes ceil(log2 k) halvings, so that
            neighbouring answers share their statistics. Whole numbers are ordered, and options that
            are ascending or descending numbers. Real numbers are always halved.
    """

    initial: int = 10
    exploration: float = 0.03
    bisection: bool = True

    def __post_init__(self) -> None:
        if self.initial < 1 or self.exploration < 0:
            raise ValueError(
                f"mcts needs initial >= 1 and exploration >= 0; got {self.initial} and "
                f"{self.exploration}"
            )

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        if len(history.trials) < self.initial:
            return Asked(random_proposals(space, history, count, seed))
        return Asked(novel(space, history, self._draws(space, history, seed), count))

    def _draws(
        self, space: SearchSpace, history: History, seed: int
    ) -> Iterator[tuple[Architecture, str]]:
        """Roll-outs from the tree, each of which is counted as a visit.

        So after a duplicate or a rejected architecture, the next roll-out takes another path, or
        the branch is closed.
        """
        root, random = self._tree(space, history), generator(seed, "mcts", len(history.trials))
        rejected = 0
        while not root.closed and rejected < ATTEMPTS:
            choose = Chooser(
                _descend(root, self.exploration, random),
                random,
                held=dict(space.held),
                keep_domains=True,
            )
            accepted = _completes(space, choose)
            assert choose.domains is not None
            _visit(root, _way(choose.domains, choose.decisions, self.bisection), None)
            rejected = 0 if accepted else rejected + 1
            if accepted:
                yield Architecture(space.name, tuple(choose.decisions.items())), "tree"
        if not root.closed:
            yield from random_draws(space, history, seed)

    def _tree(self, space: SearchSpace, history: History) -> Node:
        scores = [trial.score for trial in history.observed]
        low, high = min(scores, default=0.0), max(scores, default=0.0)
        root = Node()
        for trial in history.trials:
            way = _way(
                domains(space, trial.architecture), trial.architecture.answers, self.bisection
            )
            _visit(root, way, _scaled(trial, low, high))
        return root


@dataclass(frozen=True)
class Fork:
    """A question, or one halving of its answers, at a node of the tree.

    Attributes:
        path: the question's name in the space.
        domain: its possible answers.
        cells: the ordered answers that earlier halvings have left; None if each answer is a branch
            of its own.
    """

    path: str
    domain: Domain
    cells: range | None

    @property
    def width(self) -> int:
        """The number of branches."""
        return 2 if self.cells is not None else self.domain.size or 0

    def half(self, branch: Answer) -> range:
        """The cells of the lower (0) or upper (1) branch."""
        assert self.cells is not None
        middle = (len(self.cells) + 1) // 2
        return self.cells[middle:] if branch else self.cells[:middle]

    def draw_branch(self, random: Random) -> Answer:
        """One of the branches, uniformly."""
        return int(random.random() * 2) if self.cells is not None else self.domain.draw(random)

    def draw_answer(self, branch: Answer, random: Random) -> Answer:
        """One of the branch's answers, uniformly."""
        if self.cells is None:
            return branch
        cells = self.half(branch)
        place = cells[0] + random.random() * len(cells)
        if self.domain.size is None:
            return self.domain.draw(Steady(place / CELLS))
        return self.domain.at(int(place))


@dataclass
class Node:
    """The statistics of all trials below a branch.

    Attributes:
        visits: trials and proposals that came here.
        scored: those of them that have a score; a failure has the score 0.
        total: the sum of these scores.
        closed: whether each architecture below was tried or rejected.
        fork: the next question; None until a path leads further.
        children: the nodes below the branches taken so far.
    """

    visits: int = 0
    scored: int = 0
    total: float = 0.0
    closed: bool = False
    fork: Fork | None = None
    children: dict[Answer, Node] = field(default_factory=dict)

    def mean(self, otherwise: float) -> float:
        """The mean score, or `otherwise` if there is none yet."""
        return self.total / self.scored if self.scored else otherwise


def _descend(root: Node, exploration: float, random: Random) -> dict[str, Answer]:
    """Answers to the questions from the root to the first branch that was never taken."""
    node, answers = root, dict[str, Answer]()
    while (fork := node.fork) is not None:
        if len(node.children) < fork.width:
            while (branch := fork.draw_branch(random)) in node.children:
                pass
        else:
            bounds = _bounds(node, exploration)
            branch = max(bounds, key=lambda branch: (bounds[branch], random.random()))
        answers[fork.path] = fork.draw_answer(branch, random)
        if branch not in node.children:
            break
        node = node.children[branch]
    return answers


def _bounds(node: Node, exploration: float) -> dict[Answer, float]:
    """The upper confidence bound of each open branch."""
    mean, numerator = node.mean(0.0), 2 * math.log(node.visits)
    return {
        branch: child.mean(mean) + exploration * math.sqrt(numerator / child.visits)
        for branch, child in node.children.items()
        if not child.closed
    }


def _visit(root: Node, way: list[tuple[Fork, Answer]], score: float | None) -> None:
    """Counts a visit, and its score unless that is None, in the nodes on the path.

    One node is added where the path leaves the tree.
    """
    nodes = [root]
    for fork, branch in way:
        node = nodes[-1]
        node.fork = fork
        added = branch not in node.children
        nodes.append(node.children.setdefault(branch, Node()))
        if added:
            break
    # Below a real number there are always more architectures than were tried.
    ended = len(nodes) > len(way) and all(fork.domain.size is not None for fork, _ in way)
    for node in reversed(nodes):
        node.closed = node.closed or (ended and _is_used_up(node))
        ended = node.closed
        node.visits += 1
        if score is not None:
            node.scored += 1
            node.total += score


def _is_used_up(node: Node) -> bool:
    """Whether the node has no further question, or all its branches are taken and closed."""
    if node.fork is None:
        return True
    all_taken = len(node.children) == node.fork.width
    return all_taken and all(child.closed for child in node.children.values())


def _way(
    asked: Mapping[str, Domain], answers: Mapping[str, Answer], bisection: bool
) -> list[tuple[Fork, Answer]]:
    """The path of the answers: the forks in their order, each with the branch taken."""
    way: list[tuple[Fork, Answer]] = []
    for path, domain in asked.items():
        if domain.size == 1:
            continue
        if domain.size is not None and not (bisection and _is_ordered(domain)):
            way.append((Fork(path, domain, None), answers[path]))
            continue
        cell, cells = _cell(domain, answers[path]), range(domain.size or CELLS)
        while len(cells) > 1:
            fork = Fork(path, domain, cells)
            branch = int(cell not in fork.half(0))
            way.append((fork, branch))
            cells = fork.half(branch)
    return way


def _is_ordered(domain: Domain) -> bool:
    if not isinstance(domain, OneOf):
        return isinstance(domain, Integer)
    labels = domain.labels
    numbers = [
        label for label in labels if isinstance(label, int | float) and not isinstance(label, bool)
    ]
    ascending = sorted(numbers)
    descending = sorted(numbers, reverse=True)
    return len(numbers) == len(labels) and numbers in (ascending, descending)


def _cell(domain: Domain, answer: Answer) -> int:
    """The cell that the answer to an ordered question lies in."""
    if isinstance(domain, OneOf):
        return domain.labels.index(answer)
    assert isinstance(domain, Integer | Real)
    assert isinstance(answer, int | float)
    if isinstance(domain, Integer):
        return int(answer) - domain.low
    if domain.log:
        share = math.log(answer / domain.low) / math.log(domain.high / domain.low)
    else:
        share = (answer - domain.low) / (domain.high - domain.low)
    return min(int(share * CELLS), CELLS - 1)


def _scaled(trial: Trial, low: float, high: float) -> float | None:
    """The trial's score, scaled from [low, high] to [0, 1]; 0 for a failure, None if pending."""
    if trial.outcome is None:
        return None
    if not trial.is_observed:
        return 0.0
    return (trial.score - low) / (high - low) if high > low else 1.0


def _completes(space: SearchSpace, choose: Chooser) -> bool:
    """Whether the space accepts the answers of the chooser, which are completed at random."""
    try:
        space.run(choose)
    except Rejected:
        return False
    return True
