"""The command `nas forecast`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import AsJson, ConfigFile, Overrides

if TYPE_CHECKING:
    from nas.config.plan import Plan
    from nas.search.durations import Interval
    from nas.search.rehearsal import Rehearsed


def forecast(
    config: ConfigFile,
    override: Overrides = None,
    count: Annotated[
        int, typer.Option(min=1, help="How many architectures are trained for a few batches.")
    ] = 6,
    seed: Annotated[int, typer.Option(help="The seed of the random architectures.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Estimate how long a search takes, from a few short trainings; writes no run."""
    with sentences():
        from nas.config.compose import compose
        from nas.config.loading import load_config
        from nas.config.plan import plan_of
        from nas.search.rehearsal import rehearse

        checked = load_config(config, override or ())
        with about(config):
            rehearsed = rehearse(compose(checked), count, seed)
        if as_json:
            print(json.dumps(asdict(rehearsed)))
        else:
            print("\n".join(_lines(rehearsed, plan_of(checked), checked.executor.time_limit)))
        if rehearsed.run is None:
            raise typer.Exit(1)


def _lines(rehearsed: Rehearsed, plan: Plan, limit: float | None) -> Iterator[str]:
    from nas.report.figures import counted, duration

    drawn = rehearsed.drawn
    num_rounds = counted(-(-plan.budget // plan.batch), "round")
    rounds = f"{num_rounds} of the strategy's thinking, {duration(rehearsed.thinking)} each"
    if rehearsed.evaluation is not None:
        evaluations = f"{rehearsed.evaluations} evaluations of {duration(rehearsed.evaluation)}"
        yield (
            f"search      {_time(rehearsed.search)}: {evaluations}, {rehearsed.workers} at a time; "
            f"{rounds}"
        )
        trainings = counted(rehearsed.trainings, "full training")
        yield f"finalists   {_time(rehearsed.finalists)}: {trainings}"
    elif rehearsed.run is not None:
        yield f"search      seconds, as scores are looked up; {rounds}"
    if rehearsed.run is not None:
        yield f"altogether  {_time(rehearsed.run)}"
    if rehearsed.weights:
        yield f"disk        {_bytes(rehearsed.weights)} of weights"
    if rehearsed.memory is not None:
        yield f"memory      {_bytes(rehearsed.memory)} at most for one of {drawn} trainings"
    if rehearsed.too_long:
        yield (
            f"time limit  {rehearsed.too_long} of {drawn} would take longer than "
            f"executor.time_limit, {limit:g} s, and be ended"
        )
    if rehearsed.failures:
        yield f"failed      {len(rehearsed.failures)} of {drawn} could not be built or trained:"
        yield from (f"            {reason}" for reason in dict.fromkeys(rehearsed.failures))
    if plan.may_stop:
        yield "            a rule in `stop` may end the search earlier"


def _time(seconds: Interval | None) -> str:
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
