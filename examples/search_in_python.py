"""A search without the command line: a configuration, a run, and the best network as a module.

    python examples/search_in_python.py [DIRECTORY]

The directory becomes a run like any other: `nas status`, `nas report` and `nas export` work on it,
and `nas resume` continues it.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file

from nas.config.evaluator import shaped_space
from nas.config.loading import parse_config
from nas.evaluators.evaluator import FinalResult
from nas.record.files import weights_file
from nas.search.finalists import winner
from nas.search.run import start

CONFIG = {  # the keys of a YAML file; missing keys have their defaults
    "space": "convnet",
    "task": "digits",
    "strategy": "evolution",
    "training": {"epochs": 1},
    "budget": 6,
    "batch": 3,
    "baseline": "none",
    "finalists": {"count": 1, "seeds": 1, "epochs": 3},
    # in this process; the default "process" survives crashes and uses all GPUs
    "executor": "inline",
}


def main(directory: Path) -> None:
    config = parse_config(CONFIG, "this script")
    history = start(
        config,
        directory,
        # Called after every event with the history so far.
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
