"""FlexiBERT's search from coarse to fine: pairs of layers alike, then each layer for itself, then
each feed-forward layer for itself.

    python examples/coarse_to_fine.py [DIRECTORY]

The score here is made up, so that it runs in seconds; yours trains the transformer. With a
directory the flow keeps its journal there, and the same call goes on from it.
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
# How well an operation does near the input, and what it gains or loses in each layer further on.
OPERATIONS = {
    "sa_sdp": (0.5, 0.3),
    "sa_wma": (0.4, 0.2),
    "l_dft": (0.9, -0.1),
    "l_dct": (0.8, 0.0),
    "c_5": (1.0, -0.3),
    "c_9": (0.9, -0.2),
}


def score(architecture: Architecture) -> float:
    """Convolutions early, attention late; two widths and feed-forward layers that taper off."""
    total = 0.0
    for number, layer in enumerate(layers_of(FINE.graph(architecture))):
        start, slope = OPERATIONS[layer.operations[0]]
        total += (
            start
            + slope * number
            - 0.2 * abs(layer.hidden / 128 - 1 - number % 2)
            - 0.1 * abs(len(layer.operations) - 4)
        )
        total -= 0.1 * sum(
            size != (1024 if place == 0 else 512) for place, size in enumerate(layer.feed_forward)
        ) - 0.05 * len(layer.feed_forward)
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
