"""Three search flows over the same decisions, with equal numbers of evaluations.

    python examples/flows.py [DIRECTORY]

`joint` decides everything at once, `separate` one part after the other, and `nested` one part
inside the other. With a directory each flow keeps its journal there, and the same call continues
from it: if you run it twice, the second run evaluates nothing.
"""

import sys
from pathlib import Path

from nas.evaluators.table import table_evaluator
from nas.flows import Flow, Level, joint, nested, separate
from nas.strategies import LocalSearch, RandomSearch
from spaces.load import load_space

FIRST = ("edge_0_1", "edge_0_2", "edge_1_2")  # the half of the cell near its input


def main(directory: Path | None) -> None:
    space = load_space("nasbench201")
    # Or your own function that takes an architecture and returns a score.
    table = table_evaluator(space, "builtin:nasbench201", score="c100_val_200")
    strategy = LocalSearch(initial=6)

    def place(name: str) -> Path | None:
        return None if directory is None else directory / name

    flows: dict[str, Flow] = {
        "joint": joint(space, table, level=Level(strategy, 64, batch=4), directory=place("joint")),
        "separate": separate(
            space,
            table,
            first=FIRST,
            levels=(Level(strategy, 32, 4), Level(strategy, 32, 4)),
            directory=place("separate"),
        ),
        "nested": nested(
            space,
            table,
            first=FIRST,
            levels=(Level(RandomSearch(), 8), Level(strategy, 8, 4)),
            directory=place("nested"),
        ),
    }
    for name, flow in flows.items():
        print(
            f"{name}: {flow.best.score:.2f} after {flow.evaluations} evaluations, "
            f"{flow.best.architecture}"
        )
    for trial in flows["nested"].history.of_arm("outer").trials:
        first = [trial.architecture.answers[path] for path in FIRST]
        print(f"  {trial.score:.2f} is the best found with {', '.join(map(str, first))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
