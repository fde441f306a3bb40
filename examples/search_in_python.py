"""A search without the command line: a config, a run, and the best network as a module.

    python examples/search_in_python.py [DIRECTORY]

The directory becomes a run like any other: `nas status`, `nas report` and `nas export` work on it,
and `nas resume` goes on with it.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file

from nas.config.compose import shaped_space
from nas.config.config import parse_config
from nas.evaluators.evaluator import FinalResult
from nas.search.run import start, weights_file, winner

CONFIG = {  # the keys of a YAML file; what is left out has its default
    "space": "convnet",
    "task": "digits",
    "strategy": "evolution",
    "training": {"epochs": 1},
    "budget": 6,
    "batch": 3,
    "baseline": "none",
    "finalists": {"count": 1, "seeds": 1, "epochs": 3},
    # in this process; the default "process" survives crashes and fills all GPUs
    "executor": "inline",
}


def main(directory: Path) -> None:
    config = parse_config(CONFIG, "this script")
    # Called after every event with all that has happened so far.
    history = start(
        config,
        directory,
        lambda history, events: print(f"{len(history.observed)} of {config.budget} evaluated"),
    )

    number = winner(history, "search")
    assert number is not None, "no finalist could be trained"
    best = history.trial(number)
    module = shaped_space(config).build(best.architecture)
    module.load_state_dict(load_file(weights_file(directory, number, 0)))
    print(f"the best of {len(history.observed)}: {best.architecture}\n{module.eval()}")
    for final in history.finals:
        if isinstance(final.result, FinalResult):  # it might have failed
            print(f"test accuracy {final.result.test:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/from_python"))
