"""kill -9 at random moments of a run, resume each time, and compare with a run that was left alone.

python benchmarks/kill.py --kills 20
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import record

from nas.record.history import EMPTY, History, fold
from nas.record.journal import JournalError, open_for_reading

CONFIG = Path(__file__).parents[1] / "configs" / "nasbench201.yaml"
OVERRIDES = ["predictor=trees", "budget=60", "batch=5"]


def read(run: Path) -> History:
    try:
        with open_for_reading(run) as journal:
            return fold(journal.events())
    except JournalError:
        return EMPTY  # Killed before the journal was made.


def command(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def search(run: Path) -> subprocess.Popen[bytes]:
    return command(
        "search",
        str(CONFIG),
        "--out",
        str(run),
        *(item for override in OVERRIDES for item in ("-s", override)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        alone = Path(folder) / "alone"
        search(alone).wait()
        seconds = time.monotonic() - began
        whole, rows = read(alone), []
        killed, kills, attempt = Path(folder) / "killed-0", 0, 0
        while kills < arguments.kills:
            before = read(killed)
            if before.finished:
                attempt += 1
                killed = Path(folder) / f"killed-{attempt}"
                before = EMPTY
            running = (
                command("resume", str(killed))
                if (killed / "journal.sqlite").exists() and before != EMPTY
                else search(killed)
            )
            delay = draw.uniform(0.2, 0.7 * seconds)
            try:
                running.wait(delay)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
                kills += 1
                after = read(killed)
                rows.append(
                    {
                        "kill": kills,
                        "after_seconds": round(delay, 3),
                        "observed_before": len(before.observed),
                        "observed_after": len(after.observed),
                    }
                )
                print(rows[-1], flush=True)
                lost = [trial for trial in before.observed if trial not in after.observed]
                assert not lost, f"lost {lost}"
        if not read(killed).finished:
            command("resume", str(killed)).wait()
        for number in range(attempt + 1):
            other = read(Path(folder) / f"killed-{number}")
            assert other.trials == whole.trials, "the killed run went another way"
            assert other.finals == whole.finals
            assert other.finished == whole.finished
    print(
        f"{kills} kills over {attempt + 1} runs of {len(whole.trials)} trials: the same "
        "proposals and results, 0 finished evaluations lost"
    )
    print("written:", record("kill", rows))


if __name__ == "__main__":
    main()
