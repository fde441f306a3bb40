"""Executors run evaluations, in this process or in worker processes of this machine."""

from nas.executors.attempt import DISK_FULL, Executor, Job, Outcome, attempt, disk_full
from nas.executors.inline import InlineExecutor
from nas.executors.process import ProcessExecutor, WorkerError

__all__ = [
    "DISK_FULL",
    "Executor",
    "InlineExecutor",
    "Job",
    "Outcome",
    "ProcessExecutor",
    "WorkerError",
    "attempt",
    "disk_full",
]
