"""The command `nas profile`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, InputShape, OutputShape, SpaceOption, Vocabulary
from nas.cli.space import space_of

if TYPE_CHECKING:
    from nas.latency.settings import LatencySettings
    from nas.proxies.profiling import Profiled
    from spaces import Architecture, SearchSpace


def profile(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A run's directory; or a space: built-in, installed, my_file.py:space.",
        ),
    ],
    trial: Annotated[
        int | None, typer.Option(help="Of a run: which trial; the search's winner by default.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of a run: all trials that have a score.")
    ] = False,
    count: Annotated[
        int, typer.Option(min=1, help="Of a space: how many random architectures.")
    ] = 10,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the random architectures, the weights and the input.")
    ] = 0,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, or auto: CUDA where there is a card.")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(help="Samples in a pass.")] = 1,
    threads: Annotated[int, typer.Option(help="Of torch on the CPU.")] = 1,
    within: Annotated[
        float,
        typer.Option(
            help="The share of the latency that the 95 % interval may reach to each side."
        ),
    ] = 0.02,
    limit: Annotated[
        float, typer.Option(help="Seconds after which that is no longer waited for, a network.")
    ] = 5.0,
    out: Annotated[
        Path | None, typer.Option(help="Write a table to this .npz or .csv file.")
    ] = None,
    space: SpaceOption = None,
    as_json: AsJson = False,
) -> None:
    """Measure how long networks take on this machine, with an error."""
    with sentences():
        from nas.config.shapes import shapes_of_options
        from nas.latency.settings import LatencySettings
        from nas.record.journal import FILE
        from spaces.load import load_space

        settings = LatencySettings(batch_size, device, threads, within, limit)
        if out is not None and (
            out.suffix not in (".npz", ".csv") or out.exists() or not out.parent.is_dir()
        ):
            raise ValueError(
                "the latencies are written to a new .npz or .csv file in a folder that is "
                f"there; got {out}"
            )
        if (Path(target) / FILE).is_file():
            if (input_shape, output_shape, vocabulary) != (None, None, None):
                raise ValueError(
                    "a run's task says what goes in and comes out: leave --input, --output and "
                    "--vocabulary out"
                )
            known, whose = _of_run(Path(target), trial, space, every=every)
        else:
            if trial is not None or every or space is not None:
                raise ValueError(
                    f"{target} is not a run (it has no {FILE}), and --trial, --all and --space "
                    "are for runs"
                )
            known = load_space(target)
            known = known.for_shapes(
                shapes_of_options(known.shapes, input_shape, output_shape, vocabulary)
            )
            whose = _drawn(known, count, seed)
        rows = _measured(known, whose, settings, seed, out)
        _print(known, rows, settings, as_json=as_json)


# Architectures, each with what a run says of it: its trial and score.
Whose = list[tuple["Architecture", dict[str, Any]]]


def _of_run(
    directory: Path, trial: int | None, named: str | None, *, every: bool
) -> tuple[SearchSpace, Whose]:
    from nas.config.config import parse_config
    from nas.export.exporting import run_space
    from nas.proxies.profiling import chosen_trials
    from nas.record.history import fold
    from nas.record.journal import open_for_reading

    if trial is not None and every:
        raise ValueError("--trial and --all are two ways to say which trials: give one of them")
    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        history, made = fold(journal.events()), journal.environment
    space = run_space(config, made, space_of(directory, named), directory)
    trials = chosen_trials(space, history, trial, every=every)
    return space, [
        (
            each.architecture,
            {"trial": each.number, "score": each.score if each.is_observed else None},
        )
        for each in trials
    ]


def _drawn(space: SearchSpace, count: int, seed: int) -> Whose:
    from nas.seeds import generator
    from spaces.operators import sample

    random = generator(seed, "profile: architectures")
    return [(sample(space, random), {}) for _ in range(count)]


def _measured(
    space: SearchSpace, whose: Whose, settings: LatencySettings, seed: int, out: Path | None
) -> list[Profiled]:
    """One after the other; what was measured is written also where it is stopped."""
    from dataclasses import replace

    from tqdm import tqdm

    from nas.proxies.profiling import profile as measure
    from nas.proxies.profiling import write

    rows: list[Profiled] = []
    bar = tqdm(
        total=len(whose),
        unit="network",
        file=sys.stderr,
        disable=len(whose) == 1,
        mininterval=0.1 if sys.stderr.isatty() else 10,
    )
    try:
        with bar:
            for row, (_, named) in zip(
                measure(space, [architecture for architecture, _ in whose], settings, seed),
                whose,
                strict=True,
            ):
                rows.append(replace(row, **named))
                bar.update()
    except KeyboardInterrupt:
        typer.echo(f"\nstopped after {len(rows)} of {len(whose)} networks", err=True)
        raise typer.Exit(130) from None
    finally:
        if out is not None and rows:
            write(rows, out)
    return rows


def _print(
    space: SearchSpace, rows: list[Profiled], settings: LatencySettings, *, as_json: bool
) -> None:
    from nas.proxies.profiling import rank_correlations, unbeaten
    from nas.training.loop import find_device

    correlations, device = rank_correlations(rows), str(find_device(settings.device))
    if as_json:
        stated = {
            "space": space.name,
            "device": device,
            "batch_size": settings.batch_size,
            "threads": settings.threads,
        }
        typer.echo(
            json.dumps(
                {
                    **stated,
                    "rank_correlation": correlations,
                    "networks": [row.to_dict() for row in rows],
                }
            )
        )
        return
    scored = any(row.score is not None for row in rows)
    title = (
        f"{'trial' if scored else 'key':<16}  {'ms a pass':>18}  {'memory MB':>9}  "
        f"{'parameters':>11}  {'multiply-adds':>13}"
    )
    typer.echo(title + (f"  {'validation':>10}" if scored else ""))
    for row, best in zip(rows, unbeaten(rows), strict=True):
        whose = (
            row.architecture.key
            if row.trial is None
            else f"{row.trial}{' *' if best and len(rows) > 1 else ''}"
        )
        time = (
            f"{row.latency.milliseconds:.3f} ± "
            f"{row.latency.error:.3f}{'?' if row.latency.trouble else ' '}"
        )
        line = (
            f"{whose:<16}  {time:>18}  {row.latency.memory / 1e6:>9.2f}  {row.parameters:>11,}  "
            f"{row.multiply_adds:>13,}"
        )
        typer.echo(
            line
            + (
                ""
                if not scored
                else f"  {'–' if row.score is None else format(row.score, '.4f'):>10}"
            )
        )
    typer.echo(
        f"on {device}, batches of {settings.batch_size}, {settings.threads} "
        f"thread{'s' if settings.threads > 1 else ''}; ± is half of a 95 % interval"
    )
    if any(value is not None for value in correlations.values()):
        shown = ", with ".join(
            f"{name.replace('_', '-')} {value:+.2f}"
            for name, value in correlations.items()
            if value is not None
        )
        typer.echo(f"rank correlation of the latency with {shown}")
    if scored and len(rows) > 1:
        typer.echo("* no other is both faster and better by validation")
    doubtful = [row.latency.trouble for row in rows if row.latency.trouble]
    if doubtful:
        typer.echo(
            f"? doubtful, {len(doubtful)} of {len(rows)}: the machine is busy, or the limit too "
            f"short ({doubtful[0]})"
        )
