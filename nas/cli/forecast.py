"""The command `nas forecast`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import AsJson, Overrides

if TYPE_CHECKING:
    from nas.config.config import RunConfig
    from nas.search.durations import Range
    from nas.search.rehearsal import Rehearsed


def forecast(
    config: Annotated[Path, typer.Argument(help="A configuration file.")],
    override: Overrides = None,
    count: Annotated[
        int, typer.Option(min=1, help="How many architectures are drawn and trained a little.")
    ] = 6,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Say what a search will take, from a few trainings cut short; writes no run."""
    with sentences():
        from nas.config.compose import compose
        from nas.config.config import load_config
        from nas.search.rehearsal import rehearse

        checked = load_config(config, override or ())
        with about(config):
            rehearsed = rehearse(checked, compose(checked), count, seed)
        if as_json:
            print(json.dumps(asdict(rehearsed)))
        else:
            print("\n".join(_lines(rehearsed, checked)))
        if rehearsed.run is None:
            raise typer.Exit(1)


def _lines(said: Rehearsed, config: RunConfig) -> Iterator[str]:
    from nas.report.figures import counted, duration

    rounds = (
        f"{counted(-(-config.budget // config.batch), 'round')} of the strategy's thinking, "
        f"{duration(said.thinking)} each"
    )
    if said.evaluation is not None:
        each = (
            f"{said.evaluations} evaluations of {duration(said.evaluation)}, {said.workers} at a "
            f"time; {rounds}"
        )
        yield f"search      {_time(said.search)}: {each}"
        yield f"finalists   {_time(said.finalists)}: {counted(said.trainings, 'full training')}"
    elif said.run is not None:
        yield f"search      seconds, as scores are looked up; {rounds}"
    if said.run is not None:
        yield f"altogether  {_time(said.run)}"
    if said.weights:
        yield f"disk        {_bytes(said.weights)} of weights"
    if said.memory is not None:
        yield f"memory      {_bytes(said.memory)} at most for one of {said.drawn} trainings"
    if said.too_long:
        yield (
            f"time limit  {said.too_long} of {said.drawn} would take longer than "
            f"executor.time_limit, {config.executor.time_limit:g} s, and be ended"
        )
    if said.failures:
        yield f"failed      {len(said.failures)} of {said.drawn} could not be built or trained:"
        yield from (f"            {reason}" for reason in dict.fromkeys(said.failures))
    if config.stop != type(config.stop)():
        yield "            a rule in `stop` may end the search earlier"


def _time(seconds: Range | None) -> str:
    from nas.report.outlook import time_range

    assert seconds is not None
    return f"about {time_range(asdict(seconds))}"


def _bytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
