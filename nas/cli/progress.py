"""What a running search shows: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

from nas.config.compose import final_count
from nas.config.config import RunConfig
from nas.evaluators.evaluator import Failed
from nas.objectives.constraints import feasible
from nas.record.arms import BASELINE, SEARCH
from nas.record.history import Final, History
from nas.record.journal import Event
from nas.report.figures import at_fidelity
from nas.search.stopping import budget_of

_WIDEST = 110


class Progress:
    """Shows every event of a run; a context manager. Lines go to `stream`, one at most every
    `interval` seconds where it is no terminal.

    A stream that fails (a pipe whose reader has left) ends the showing, not the run.
    """

    def __init__(
        self,
        config: RunConfig,
        stream: TextIO | None = None,
        *,
        interval: float = 5.0,
        begun: str = "",
    ) -> None:
        """`begun` is the first line, shown when there is something to show: a run that is refused
        has not begun.
        """
        self._stream: TextIO | None = stream or sys.stderr
        self._config = config
        self._begun = begun
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
        """Shows what the events brought."""
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
            if event.kind == "resumed":
                self._line(
                    f"resumed after {len(history.observed) + len(history.failed)} finished "
                    "evaluations"
                )
            elif event.kind == "round":
                self._advance_arm(history, event.body["arm"])
                self._note(event)
            elif event.kind in ("observation", "failure"):
                trial = history.trial(event.body["trial"])
                if event.kind == "failure":
                    self._line(
                        f"trial {trial.number} failed ({event.body['kind']}): "
                        f"{event.body['reason']}"
                    )
                self._advance_arm(history, trial.arm)
            elif event.kind in ("finalist", "final", "final_failure"):
                expected = len(history.finalists) * final_count(self._config)
                self._advance(
                    "training finalists",
                    len(history.finals),
                    expected,
                    _last_final(history.finals[-1]) if history.finals else "",
                )
            elif event.kind == "finished":
                self._close_bar()

    def _advance_arm(self, history: History, name: str) -> None:
        arm = feasible(history.of_arm(name), self._config.constraints)
        title = {SEARCH: f"search ({self._config.strategy.name})", BASELINE: "random baseline"}.get(
            name, name
        )
        # Without fidelities a whole number, the number of trials.
        used = round(arm.used, 2)
        self._advance(
            title,
            int(used) if used == int(used) else used,
            budget_of(name, history, self._config),
            _standing(arm),
        )

    def _note(self, event: Event) -> None:
        note = event.body.get("note", "")
        if note and (":" in note or "promoted" in note) and not note.startswith("initial"):
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
            self._line(
                f"{title}: {done}/{total}, {standing}"
                + (f", {_duration(left)} left" if done < total else "")
            )

    def _advance_bar(self, title: str, done: float, total: int, standing: str) -> None:
        from tqdm import tqdm

        if title != self._phase:
            self._close_bar()
            self._phase = title
            # The bar takes what the rest leaves, so that a terminal of 80 columns shows everything.
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
    best = (
        f"best {arm.best.score:.4f} (trial {arm.best.number}{at_fidelity(arm.best.fidelity)})"
        if arm.best is not None
        else "none yet"
    )
    judged = next(
        (
            item.ranking["rank_correlation"]
            for item in reversed(arm.rounds)
            if item.ranking and item.ranking.get("rank_correlation") is not None
        ),
        None,
    )
    return best + (f", rank correlation {judged:+.2f}" if judged is not None else "")


def _last_final(final: Final) -> str:
    return f"trial {final.trial}: " + (
        "failed"
        if isinstance(final.result, Failed)
        else f"validation {final.result.validation:.4f}"
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
