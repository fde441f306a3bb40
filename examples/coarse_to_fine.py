"""FlexiBERT's search from coarse to fine.

    python examples/coarse_to_fine.py [DIRECTORY]

On the first level two consecutive layers are alike, on the second each layer is free, and on the
third each feed-forward layer is free. The score here is made up, so that the example runs in
seconds; yours trains the transformer. With a directory the flow keeps its journal there, and the
same call continues from it.
"""

import sys
from pathlib import Path

from nas.flows import Level, hierarchical, joint
from nas.strategies import Evolution, RandomSearch
from spaces import Architecture
from spaces.flexibert import layers_of, refined
from spaces.load import load_space

COARSE, MIDDLE, FINE = (
    load_space(name) for name in ("flexibert_coarse", "flexibert_homogeneous", "flexibert")
)
# The score of an operation in the first layer, and its change in each further layer.
OPERATIONS = {
    "sa_sdp": (0.5, 0.3),
    "sa_wma": (0.4, 0.2),
    "l_dft": (0.9, -0.1),
    "l_dct": (0.8, 0.0),
    "c_5": (1.0, -0.3),
    "c_9": (0.9, -0.2),
}


def score(architecture: Architecture) -> float:
    """A score that prefers early convolutions, late attention and narrowing feed-forward parts."""
    total = 0.0
    for number, layer in enumerate(layers_of(FINE.graph(architecture))):
        start, slope = OPERATIONS[layer.operations[0]]
        width = 0.2 * abs(layer.hidden / 128 - 1 - number % 2)
        heads = 0.1 * abs(len(layer.operations) - 4)
        total += start + slope * number - width - heads
        sizes = (1024, *(512 for _ in layer.feed_forward[1:]))
        wrong = sum(size != best for size, best in zip(layer.feed_forward, sizes, strict=True))
        total -= 0.1 * wrong - 0.05 * len(layer.feed_forward)
    return total


def main(directory: Path | None) -> None:
    strategy = Evolution(population=12, tournament=4)
    levels = [Level(RandomSearch(), 40, 8), Level(strategy, 40, 4), Level(strategy, 40, 4)]
    flow = hierarchical(
        (COARSE, MIDDLE, FINE), score, carry=refined, levels=levels, directory=directory
    )
    for number in range(len(levels)):
        best = flow.history.of_arm(f"level-{number}").best
        assert best is not None
        print(f"level {number}: {best.score:.2f}")
    at_once = joint(FINE, score, level=Level(strategy, flow.evaluations, 4))
    print(
        f"{flow.evaluations} evaluations; as many in the finest space at once: "
        f"{at_once.best.score:.2f}"
    )
    print(refined(flow.best.architecture, FINE))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
