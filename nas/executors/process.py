"""Runs jobs in worker processes of this machine, one for each device; for POSIX systems.

A worker may raise, hang, use up all memory or crash without harm to the search: the trial becomes a
`Failed`, and a fresh worker takes the next trial. Only a worker that cannot start ends the run,
because then no trial could succeed.
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

# The most seconds that a worker may take to start. Importing torch and loading the data takes
# minutes on a slow disk.
START_LIMIT = 900.0
# The most seconds of one wait. The operating system counts its milliseconds in 32 bits, so longer
# waits are split.
_LONGEST_WAIT = 3600.0
# The seconds that a worker may take to end by itself after its socket is closed.
_END_LIMIT = 5.0

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# The worker gets the parent's import path, so that it can import the same modules.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nas.executors.worker import "
    "main; main(int(sys.argv[2]))"
)


class WorkerError(Exception):
    """A worker could not start, so no job can be run.

    The message holds the worker's error and traceback.
    """


@dataclass
class _Worker:
    """A running process with its current job.

    Attributes:
        job: the current job; None while the worker is idle.
        began: when the job began, by `time.monotonic`.
        deadline: when the job is stopped, by `time.monotonic`; None: never.
    """

    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    job: Job | None = None
    began: float = 0.0
    deadline: float | None = None


class ProcessExecutor:
    """Evaluates in worker processes that stay alive between runs.

    They are started for the first jobs, and replaced if they die or exceed the time limit.
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
            devices: one worker is started for each; a device may occur more than once.
            time_limits: the most seconds of a search evaluation and of a full training, without the
                start of the worker; None: no limit.
            threads: the number of threads that a worker computes with.

        Raises:
            ValueError: an argument is out of its range, or the settings are not JSON values.
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
        """Each job with its outcome, in the order in which they finish.

        Raises:
            WorkerError: a worker cannot start; the message holds its error.
            ValueError: another `run` of this executor has not finished.
        """
        if self._busy():
            raise ValueError(
                "the executor is running jobs already; finish or close the iterator of the "
                "earlier run"
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
        """Ends the workers, idle or not. A later `run` starts new ones."""
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
                # An idle worker sends nothing, so its connection is readable only if it died.
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
            # If the worker has just died, the next receive reports it.
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.connection.send(job)

    def _limit(self, job: Job) -> float | None:
        return None if self._time_limits is None else self._time_limits[job.final]

    def _collect(self) -> Iterator[tuple[Job, Outcome]]:
        """Waits for a message or a deadline of a busy worker, and yields the jobs that ended."""
        busy = self._busy()
        deadlines = [worker.deadline for _, worker, _ in busy if worker.deadline is not None]
        seconds = None
        if deadlines:
            seconds = min(_LONGEST_WAIT, max(0.0, min(deadlines) - time.monotonic()))
        readable = wait([worker.connection for _, worker, _ in busy], seconds)
        for place, worker, job in busy:
            late = worker.deadline is not None and time.monotonic() >= worker.deadline
            if worker.connection in readable:
                outcome = self._receive(place, worker, job)
            elif late and not worker.connection.poll():
                outcome = self._expire(place, worker, job)
            else:
                continue
            if outcome is not None:
                yield job, outcome

    def _receive(self, place: int, worker: _Worker, job: Job) -> Outcome | None:
        """The outcome of the job; None if the worker has only become ready."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            # EOFError between two messages, OSError within a message.
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
            # After such an error every later call of CUDA fails in this process, so the next job
            # gets a fresh worker.
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
                # In a session of its own the worker does not receive the terminal's Ctrl-C, and
                # its whole process group can be ended at once.
                start_new_session=True,
            )
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.send(Setup(self._factory, self._settings, device))
        return _Worker(process, ours)

    def _stop(self, place: int, *, kill: bool = True) -> int:
        """Ends the worker and the processes that it started, and returns its exit status.

        With `kill=False` the worker is ending by itself, and gets time to do so, because its own
        exit status tells the reason.
        """
        worker, self._workers[place] = self._workers[place], None
        if worker is None:
            return 0
        process = worker.process
        worker.connection.close()
        if not kill:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_LIMIT)
        # Processes that the worker started are in its process group, and may have outlived it.
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
