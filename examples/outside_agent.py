"""An agent of your own drives a run: REINFORCE with a table of logits, one row for each question.

    python examples/outside_agent.py [DIRECTORY]

The directory becomes a run like any other: `nas status`, `nas report`, `nas trials` and
`nas export` work on it. A second call continues the run.
"""

import sys
from collections import defaultdict

import numpy as np

from nas.outside import SearchEnvironment

CONFIG = {
    "space": "nasbench201",
    "evaluator": {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
    },
    "executor": "inline",
    "baseline": "none",
    "budget": 100,
}
AGENT = {"name": "reinforce", "rate": 0.2, "forget": 0.9, "seed": 0}


def main(directory: str) -> None:
    random = np.random.default_rng(AGENT["seed"])
    with SearchEnvironment.from_config(CONFIG, directory, agent=AGENT) as environment:
        logits = defaultdict(lambda: np.zeros(environment.num_actions))
        expected, truncated = None, environment.truncated is not None
        while not truncated:
            _, info = environment.reset()
            taken, terminated = [], False
            while not (terminated or truncated):
                path, chances = info["path"], probabilities(logits[info["path"]], info["mask"])
                action = random.choice(len(chances), p=chances)
                taken.append((path, action, chances))
                _, reward, terminated, truncated, info = environment.step(action)
            # The baseline of REINFORCE: a moving average of the rewards.
            if expected is None:
                expected = reward
            else:
                expected = AGENT["forget"] * expected + (1 - AGENT["forget"]) * reward
            for path, action, chances in taken:
                gradient = -chances
                gradient[action] += 1
                logits[path] += AGENT["rate"] * (reward - expected) / 10 * gradient
        history = environment.history
    print(
        f"{len(history.observed)} evaluated, the best {history.best.score:.2f}: "
        f"{history.best.architecture}"
    )


def probabilities(logits: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Softmax over the actions that are options."""
    weights = np.where(mask, np.exp(logits - logits.max()), 0.0)
    return weights / weights.sum()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/outside_agent")
