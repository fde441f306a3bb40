"""Whether runs that are killed at random moments and resumed end as a run that was not killed.

    python benchmarks/kill.py --kills 20

A run is killed by SIGKILL. Its trials and results must equal those of the undisturbed run, and no
finished evaluation may be lost. Writes `results/kill.csv`, a row for each kill.
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

from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import open_for_reading
from nas.record.journal_file import JournalError

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
    overrides = [item for override in OVERRIDES for item in ("-s", override)]
    return command("search", str(CONFIG), "--out", str(run), *overrides)


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
            begun = (killed / "journal.sqlite").exists() and before != EMPTY
            running = command("resume", str(killed)) if begun else search(killed)
            delay = draw.uniform(0.2, 0.7 * seconds)
            try:
                running.wait(delay)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
                kills += 1
                after = read(killed)
                row = {
                    "kill": kills,
                    "after_seconds": round(delay, 3),
                    "observed_before": len(before.observed),
                    "observed_after": len(after.observed),
                }
                rows.append(row)
                print(row, flush=True)
                lost = [trial for trial in before.observed if trial not in after.observed]
                assert not lost, f"lost {lost}"
        if not read(killed).finished:
            command("resume", str(killed)).wait()
        for number in range(attempt + 1):
            other = read(Path(folder) / f"killed-{number}")
            assert other.trials == whole.trials, "the killed run differs from the undisturbed one"
            assert other.finals == whole.finals
            assert other.finished == whole.finished
    print(
        f"{kills} kills over {attempt + 1} runs of {len(whole.trials)} trials: the same "
        "proposals and results, 0 finished evaluations lost"
    )
    print("written:", record("kill", rows))


if __name__ == "__main__":
    main()
