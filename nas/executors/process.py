"""Runs jobs in worker processes of this machine, one a device: what one of them does cannot hurt
the search. For POSIX systems.

A worker may raise, hang, eat all memory or crash: the trial becomes a `Failed`, a fresh worker
takes the next one. Only a worker that cannot even start ends the run, as no trial could.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from nas.evaluators.evaluator import Failed
from nas.executors.attempt import Job, Outcome
from nas.executors.worker import Broken, Ready, Setup

# Importing torch and loading the data takes minutes on a slow disk; past this a worker is taken for
# stuck.
START_LIMIT = 900.0
# A wait is cut into pieces, as the operating system counts its milliseconds in 32 bits.
_LONGEST_WAIT = 3600.0
# How long a worker whose socket is closed may take to be gone.
_PATIENCE = 5.0

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# The parent's import path first, so that what is importable here is importable there.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nas.executors.worker import "
    "main; main(int(sys.argv[2]))"
)


class WorkerError(Exception):
    """A worker could not start, so that no job can be done; the message has the worker's own
    sentence and traceback.
    """


@dataclass
class _Worker:
    """A running process, its job (None while it is idle), and when that has to be done
    (`time.monotonic`).
    """

    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    job: Job | None = None
    began: float = 0.0
    deadline: float | None = None


class ProcessExecutor:
    """Evaluates in worker processes: started for the first jobs, kept warm between runs, replaced
    when they die or take too long.
    """

    def __init__(
        self,
        factory: str,
        settings: Mapping[str, Any],
        devices: Sequence[str] = ("cpu",),
        *,
        time_limits: tuple[float, float] | None = None,
        threads: int = 1,
    ) -> None:
        """The workers are not started yet.

        Args:
            factory: `module:function`, called in each worker as `function(settings, device)`; it
                returns the evaluator.
            settings: JSON values.
            devices: one worker each; a device may stand there more than once.
            time_limits: seconds that a search evaluation and that a full training may take, the
                start of a worker left out; None: as long as it takes.
            threads: how many threads a worker computes with.

        Raises:
            ValueError: one of these is not as said.
        """
        if not devices:
            raise ValueError("the process executor needs at least one device; got none")
        if time_limits is not None and not min(time_limits) > 0:
            raise ValueError(
                f"the time limits are positive numbers of seconds, or None; got {time_limits}"
            )
        if threads < 1:
            raise ValueError(f"a worker computes with at least one thread; got {threads}")
        try:
            self._settings = json.dumps(dict(settings), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the settings travel to the workers as JSON: {error}") from error
        self._factory = factory
        self._devices = tuple(devices)
        self._time_limits = time_limits
        self._threads = threads
        self._workers: list[_Worker | None] = [None] * len(self._devices)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Every job with its outcome, as each is finished.

        Raises:
            WorkerError: a worker cannot start; with what it said.
            ValueError: another `run` of this executor is under way.
        """
        if self._busy():
            raise ValueError(
                "the executor is running jobs already; finish or close the iterator of the run "
                "before"
            )
        waiting = deque(jobs)
        try:
            while waiting or self._busy():
                self._hand_out(waiting)
                yield from self._collect()
        finally:
            for place, _, _ in self._busy():
                self._stop(place)

    def close(self) -> None:
        """Ends the workers, whatever they do. A later `run` starts new ones."""
        for place in range(len(self._workers)):
            self._stop(place)

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _busy(self) -> list[tuple[int, _Worker, Job]]:
        return [
            (place, worker, worker.job)
            for place, worker in enumerate(self._workers)
            if worker is not None and worker.job is not None
        ]

    def _hand_out(self, waiting: deque[Job]) -> None:
        for place, worker in enumerate(self._workers):
            if not waiting:
                return
            if worker is not None and worker.job is None and worker.connection.poll():
                # An idle worker says nothing: this is the end of one that died between two jobs.
                self._stop(place)
                worker = None
            if worker is None:
                worker = self._workers[place] = self._start(self._devices[place])
            if worker.job is None:
                self._assign(worker, waiting.popleft())

    def _assign(self, worker: _Worker, job: Job) -> None:
        worker.job = job
        worker.began = time.monotonic()
        limit = self._limit(job) if worker.ready else START_LIMIT
        worker.deadline = None if limit is None else worker.began + limit
        if worker.ready:
            # If it died in this very moment, the next receive says so.
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.connection.send(job)

    def _limit(self, job: Job) -> float | None:
        return None if self._time_limits is None else self._time_limits[job.final]

    def _collect(self) -> Iterator[tuple[Job, Outcome]]:
        """Waits until something happens to a busy worker, and gives the jobs that ended with it."""
        busy = self._busy()
        deadlines = [worker.deadline for _, worker, _ in busy if worker.deadline is not None]
        patience = (
            min(_LONGEST_WAIT, max(0.0, min(deadlines) - time.monotonic())) if deadlines else None
        )
        heard = wait([worker.connection for _, worker, _ in busy], patience)
        for place, worker, job in busy:
            if worker.connection in heard:
                outcome = self._hear(place, worker, job)
            elif (
                worker.deadline is not None
                and time.monotonic() >= worker.deadline
                and not worker.connection.poll()
            ):
                outcome = self._expire(place, worker, job)
            else:
                continue
            if outcome is not None:
                yield job, outcome

    def _hear(self, place: int, worker: _Worker, job: Job) -> Outcome | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            # An end in the middle of a message is an OSError.
            status = self._stop(place, kill=False)
            if not worker.ready:
                raise WorkerError(
                    f"the worker for {self._devices[place]} died while it started: {_ended(status)}"
                ) from None
            return Failed(
                "killed",
                f"the worker {_ended(status)} in the middle of the trial",
                time.monotonic() - worker.began,
            )
        if isinstance(message, Broken):
            self._stop(place)
            raise WorkerError(
                f"the worker for {self._devices[place]} could not make its evaluator: "
                f"{message.sentence}\n\n{message.detail}"
            )
        if isinstance(message, Ready):
            worker.ready = True
            self._assign(worker, job)
            return None
        worker.job = None
        if isinstance(message, Failed) and "CUDA error" in message.reason:
            # After an error of the device itself every later call fails in that process, so the
            # next job gets a fresh one.
            self._stop(place)
        return message

    def _expire(self, place: int, worker: _Worker, job: Job) -> Outcome:
        seconds = time.monotonic() - worker.began
        self._stop(place)
        if not worker.ready:
            raise WorkerError(
                f"the worker for {self._devices[place]} was not ready after {seconds:.0f} s; "
                "does loading the data hang?"
            )
        return Failed(
            "time-out",
            f"the trial took longer than the time limit of {self._limit(job):g} s and was stopped",
            seconds,
        )

    def _start(self, device: str) -> _Worker:
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _PROGRAM,
                    json.dumps([str(entry) for entry in sys.path]),
                    str(theirs.fileno()),
                ],
                stdin=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **dict.fromkeys(_THREADS, str(self._threads))},
                # A session of its own: Ctrl-C in the terminal is the parent's affair, and the whole
                # group can be ended at once.
                start_new_session=True,
            )
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.send(Setup(self._factory, self._settings, device))
        return _Worker(process, ours)

    def _stop(self, place: int, *, kill: bool = True) -> int:
        """Ends the worker and what it started, and gives its exit status. With `kill=False` it is
        dying, and may tell its own status first.
        """
        worker, self._workers[place] = self._workers[place], None
        if worker is None:
            return 0
        process = worker.process
        worker.connection.close()
        if not kill:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        # What the worker started is in its process group, and may have outlived it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stdin is not None
        process.stdin.close()
        return process.wait()


def _ended(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    hint = "; the machine may have run out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by signal {-status} ({signal.strsignal(-status)}{hint})"
