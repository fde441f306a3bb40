"""What a running search shows: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from nas.compose import BASELINE, SEARCH, final_count
from nas.config import RunConfig
from nas.evaluators.evaluator import Failed
from nas.history import Final, History
from nas.journal import Event


class Progress:
    """Shows every event of a run; a context manager. Lines go to `stream`, one at most every `interval` seconds where it is no terminal."""

    def __init__(self, config: RunConfig, stream: TextIO | None = None, *, interval: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._config = config
        self._interval = interval
        self._last_line = -interval
        self._bar: Any = None
        self._phase = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()

    def __call__(self, history: History, events: tuple[Event, ...]) -> None:
        """Shows what the events brought."""
        for event in events:
            if event.kind == "resumed":
                self._line(f"resumed after {len(history.observed) + len(history.failed)} finished evaluations")
            elif event.kind == "round":
                self._note(event)
            elif event.kind in ("observation", "failure"):
                trial = history.trial(event.body["trial"])
                arm = history.of_arm(trial.arm)
                if event.kind == "failure":
                    self._line(f"trial {trial.number} failed ({event.body['kind']}): {event.body['reason']}")
                title = {SEARCH: f"search ({self._config.strategy.name})", BASELINE: "random baseline"}.get(trial.arm, trial.arm)
                self._advance(title, len(arm.trials) - len(arm.pending), self._config.budget, _standing(arm))
            elif event.kind in ("final", "final_failure"):
                expected = len(history.finalists) * final_count(self._config)
                self._advance("training finalists", len(history.finals), expected, _last_final(history.finals[-1]))
            elif event.kind == "finished":
                self._close_bar()

    def _note(self, event: Event) -> None:
        note = event.body.get("note", "")
        if note and ":" in note and not note.startswith("initial"):
            self._line(f"round {event.body['round']}: {note}")

    def _advance(self, title: str, done: int, total: int, standing: str) -> None:
        if self._stream.isatty():
            self._advance_bar(title, done, total, standing)
            return
        if title != self._phase:
            self._phase, self._began, self._first = title, time.monotonic(), done - 1
        now = time.monotonic()
        if now - self._last_line >= self._interval or done == total:
            self._last_line = now
            left = (now - self._began) / max(1, done - self._first) * (total - done)
            self._line(f"{title}: {done}/{total}, {standing}" + (f", {_duration(left)} left" if done < total else ""))

    def _advance_bar(self, title: str, done: int, total: int, standing: str) -> None:
        from tqdm import tqdm

        if title != self._phase:
            self._close_bar()
            self._phase = title
            layout = "{desc}: {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left{postfix}]"
            self._bar = tqdm(total=total, initial=done - 1, desc=title, file=self._stream, bar_format=layout)
        self._bar.set_postfix_str(standing, refresh=False)
        self._bar.update(done - self._bar.n)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, text: str) -> None:
        write: Callable[[str], None] = self._bar.write if self._bar is not None else lambda line: print(line, file=self._stream, flush=True)
        write(text)


def _standing(arm: History) -> str:
    best = f"best {arm.best.score:.4f} (trial {arm.best.number})" if arm.best is not None else "none succeeded yet"
    judged = next(
        (item.ranking["rank_correlation"] for item in reversed(arm.rounds) if item.ranking and item.ranking.get("rank_correlation") is not None), None
    )
    return best + (f", rank correlation {judged:+.2f}" if judged is not None else "")


def _last_final(final: Final) -> str:
    return f"trial {final.trial}: " + ("failed" if isinstance(final.result, Failed) else f"validation {final.result.validation:.4f}")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
