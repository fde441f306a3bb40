"""The progress of a running search: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

from nas.config.arms import BASELINE, SEARCH, budget_of
from nas.config.plan import Plan
from nas.evaluators.evaluator import Failed
from nas.objectives.constraints import feasible
from nas.record.history import History
from nas.record.journal import Event
from nas.record.trials import Final
from nas.report.figures import at_fidelity

_WIDEST = 110


class Progress:
    """Shows every event of a run; a context manager.

    If the stream fails (a pipe whose reader has left), nothing more is shown, and the run goes on.
    """

    def __init__(
        self,
        plan: Plan,
        strategy: str,
        stream: TextIO | None = None,
        *,
        interval: float = 5.0,
        begun: str = "",
        finals: str = "training finalists",
    ) -> None:
        """Nothing is shown before the first event.

        Args:
            plan: the run's plan.
            strategy: the name of the search's strategy.
            stream: where to write; standard error by default.
            interval: the least number of seconds between two lines, if the stream is no terminal.
            begun: the first line. It is shown with the first event, so not for a run that is
                refused.
            finals: what the full trainings are called.
        """
        self._stream: TextIO | None = stream or sys.stderr
        self._plan, self._strategy = plan, strategy
        self._begun, self._finals = begun, finals
        self._interval = interval
        self._last_line = -interval
        self._bar: Any = None
        self._phase = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._close_bar()

    def __call__(self, history: History, events: tuple[Event, ...]) -> None:
        """Shows the events; the history already contains them."""
        if self._stream is None:
            return
        try:
            self._show(history, events)
        except OSError:
            self._stream = None
            if self._bar is not None:
                self._bar.disable = True

    def _show(self, history: History, events: tuple[Event, ...]) -> None:
        if self._begun:
            self._line(self._begun)
            self._begun = ""
        for event in events:
            if event.kind == "choosing":
                if self._bar is not None and self._title(event.body["arm"]) == self._phase:
                    self._bar.set_postfix_str("choosing the next architectures")
            elif event.kind == "learnt":
                networks, run = event.body["networks"], event.body["run"]
                self._line(f"warm start: learnt from the scores of {networks} networks of {run}")
            elif event.kind == "resumed":
                finished = len(history.observed) + len(history.failed)
                self._line(f"resumed after {finished} finished evaluations")
            elif event.kind == "round":
                self._advance_arm(history, event.body["arm"])
                self._note(event)
            elif event.kind in ("observation", "failure"):
                trial = history.trial(event.body["trial"])
                if event.kind == "failure":
                    kind, reason = event.body["kind"], event.body["reason"]
                    self._line(f"trial {trial.number} failed ({kind}): {reason}")
                self._advance_arm(history, trial.arm)
            elif event.kind in ("finalist", "final", "final_failure"):
                done, total = len(history.finals), len(history.finalists) * self._plan.trainings
                standing = _last_final(history.finals[-1]) if history.finals else ""
                self._advance(self._finals, done, total, standing)
            elif event.kind == "finished":
                self._close_bar()

    def _advance_arm(self, history: History, name: str) -> None:
        arm = feasible(history.of_arm(name), self._plan.constraints)
        title = self._title(name)
        # The used budget is the number of trials, each counted by its fidelity.
        used = round(arm.used, 2)
        done = int(used) if used == int(used) else used
        total = budget_of(name, history, self._plan.budget, may_stop=self._plan.may_stop)
        self._advance(title, done, total, _standing(arm))

    def _title(self, arm: str) -> str:
        titles = {SEARCH: f"search ({self._strategy})", BASELINE: "random baseline"}
        return titles.get(arm, arm)

    def _note(self, event: Event) -> None:
        note = event.body.get("note", "")
        worth = ":" in note or "promoted" in note
        if "prior" in note or (worth and not note.startswith("initial")):
            self._line(f"round {event.body['round']}: {note}")

    def _advance(self, title: str, done: float, total: int, standing: str) -> None:
        assert self._stream is not None
        if self._stream.isatty():
            self._advance_bar(title, done, total, standing)
            return
        now = time.monotonic()
        if title != self._phase:
            self._phase, self._began, self._first = title, now, done
        if done > self._first and (now - self._last_line >= self._interval or done == total):
            self._last_line = now
            left = (now - self._began) / (done - self._first) * (total - done)
            line = f"{title}: {done}/{total}, {standing}"
            self._line(f"{line}, {_duration(left)} left" if done < total else line)

    def _advance_bar(self, title: str, done: float, total: int, standing: str) -> None:
        from tqdm import tqdm

        if title != self._phase:
            self._close_bar()
            self._phase = title
            # The bar takes the columns that the text leaves: 80 columns show everything.
            layout = "{desc} |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
            columns = min(shutil.get_terminal_size().columns, _WIDEST)
            self._bar = tqdm(
                total=total,
                initial=done,
                desc=title.partition(" (")[0],
                file=self._stream,
                bar_format=layout,
                ncols=columns,
            )
        self._bar.total = total
        self._bar.set_postfix_str(standing, refresh=done == self._bar.n)
        self._bar.update(done - self._bar.n)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)


def _standing(arm: History) -> str:
    """The best score of the arm, and the last rank correlation of its predictions, if any."""
    standing = "none yet"
    if arm.best is not None:
        trial = f"trial {arm.best.number}{at_fidelity(arm.best.fidelity)}"
        standing = f"best {arm.best.score:.4f} ({trial})"
    for item in reversed(arm.rounds):
        correlation = item.ranking.get("rank_correlation") if item.ranking else None
        if correlation is not None:
            return f"{standing}, rank correlation {correlation:+.2f}"
    return standing


def _last_final(final: Final) -> str:
    if isinstance(final.result, Failed):
        return f"trial {final.trial}: failed"
    return f"trial {final.trial}: validation {final.result.validation:.4f}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
