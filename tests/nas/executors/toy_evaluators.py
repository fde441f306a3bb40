"""Evaluators that behave well or badly on demand, for the tests of executors and their workers."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from spaces import Architecture


class OutOfMemoryError(RuntimeError):
    """It has the name of torch's error."""


class Scripted:
    """Does what the architecture's decision `do` says."""

    def __init__(self, settings: dict[str, Any], device: str) -> None:
        self.settings = settings
        self.device = device
        self.calls = 0

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
    ) -> Observation | Failed:
        self.calls += 1
        x = architecture.answers["x"]
        assert isinstance(x, int)
        metrics = [("fidelity", fidelity)]
        if weights is not None:
            metrics.append(("weights", float(len(weights.name))))
        if checkpoint is not None:
            metrics.append(("checkpoint", float(len(checkpoint.name))))
        return self.behave(str(architecture.answers["do"])) or Observation(
            x + seed / 10_000, 0.5, (0.25,), tuple(metrics)
        )

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        return self.behave(str(architecture.answers["do"])) or FinalResult(
            0.75, 0.5, 1.0, (0.25, 0.75)
        )

    def behave(self, do: str) -> Any:
        match do:
            case "score":
                return None
            case "raise":
                raise RuntimeError("this architecture does not train")
            case "memory":
                raise MemoryError
            case "cuda memory":
                raise OutOfMemoryError("CUDA out of memory")
            case "cuda error":
                raise RuntimeError("CUDA error: device-side assert triggered")
            case "nan":
                return Observation(math.nan)
            case "curve":
                return Observation(0.5, curve=(0.25, math.inf))
            case "missing":
                return Failed("missing", "the table has no such row")
            case "wrong":
                return 0.5
            case "numpy":
                import numpy

                one = numpy.float32(1.0)
                return Observation(
                    one, one, (one, numpy.float64(1)), (("parameters", numpy.int64(3)),)
                )  # pyright: ignore[reportArgumentType]
            case "pause":
                time.sleep(0.05)
                return None
            case "sleep":
                time.sleep(60)
            case "sleep with a child":
                subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=True)
            case "fork and die":
                if os.fork() == 0:
                    time.sleep(60)
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill -9":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segmentation fault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "polite exit":
                sys.exit("enough")
            case "big":
                return Observation(1.0, curve=tuple(float(number) for number in range(300_000)))
            case "print":
                print("x" * 300_000)
                print("y" * 300_000, file=sys.stderr)
                return None
            case "die later":
                # The worker dies after it has sent the outcome, while it is idle.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                return None
            case "who":
                return Observation(
                    os.getpid(),
                    metrics=(
                        ("calls", self.calls),
                        ("threads", float(os.environ["OMP_NUM_THREADS"])),
                    ),
                )
            case "device":
                return Observation(
                    float(self.device.partition(":")[2]),
                    metrics=(("setting", self.settings["number"]),),
                )
            case "interrupt":
                # The signal that Ctrl-C would send if the worker had no session of its own.
                os.kill(os.getpid(), signal.SIGINT)
                return None
            case _:
                raise AssertionError(do)
        return None


def scripted(settings: dict[str, Any], device: str) -> Scripted:
    return Scripted(settings, device)


def failing(settings: dict[str, Any], device: str) -> Scripted:
    raise ValueError(f"the data file {settings['path']} is missing; download it first")


def dying(settings: dict[str, Any], device: str) -> Scripted:
    os._exit(7)
