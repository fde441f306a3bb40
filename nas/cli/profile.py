"""The command `nas profile`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, Device, InputShape, OutputShape, SpaceOption, Vocabulary
from nas.cli.space import space_of

if TYPE_CHECKING:
    from nas.latency.settings import LatencySettings
    from nas.proxies.profiling import Profiled
    from spaces import Architecture, SearchSpace

# Architectures, each with its trial and score as columns of the table; for a space without columns.
Columns = list[tuple["Architecture", dict[str, Any]]]


def profile(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A run's directory; or a space, built-in, installed or my_file.py:space.",
        ),
    ],
    trial: Annotated[
        int | None, typer.Option(help="Of a run: which trial; by default the search's winner.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of a run: all trials that have a score.")
    ] = False,
    count: Annotated[
        int, typer.Option(min=1, help="Of a space: how many random architectures.")
    ] = 10,
    seed: Annotated[
        int,
        typer.Option(min=0, help="The seed of the random architectures, weights and input."),
    ] = 0,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(help="The number of samples in a pass.")] = 1,
    threads: Annotated[int, typer.Option(help="The number of torch's threads on the CPU.")] = 1,
    within: Annotated[
        float,
        typer.Option(
            help=(
                "Repeat passes until the 95 % interval reaches to each side by at most this share "
                "of the latency."
            )
        ),
    ] = 0.02,
    limit: Annotated[
        float, typer.Option(help="Stop repeating after this many seconds, for each network.")
    ] = 5.0,
    out: Annotated[
        Path | None, typer.Option(help="Write a table to this new .npz or .csv file.")
    ] = None,
    space: SpaceOption = None,
    as_json: AsJson = False,
) -> None:
    """Measure how long networks take on this machine, with the error of the measurement."""
    with sentences():
        from nas.cli.shapes import shapes_of_options
        from nas.latency.settings import LatencySettings
        from nas.record.journal_file import FILE
        from spaces.load import load_space

        settings = LatencySettings(batch_size, device, threads, within, limit)
        if out is not None and not _is_new_table(out):
            raise ValueError(
                "the latencies are written to a new .npz or .csv file in a folder that exists; "
                f"got {out}"
            )
        if (Path(target) / FILE).is_file():
            if (input_shape, output_shape, vocabulary) != (None, None, None):
                raise ValueError(
                    "a run's task sets the shapes of inputs and outputs: leave --input, --output "
                    "and --vocabulary out"
                )
            known, columns = _of_run(Path(target), trial, space, every=every)
        else:
            if trial is not None or every or space is not None:
                raise ValueError(
                    f"{target} is not a run (it has no {FILE}), and --trial, --all and --space "
                    "are for runs"
                )
            known = load_space(target)
            shapes = shapes_of_options(known.shapes, input_shape, output_shape, vocabulary)
            known = known.for_shapes(shapes)
            columns = _drawn(known, count, seed)
        rows = _measured(known, columns, settings, seed, out)
        _print(known, rows, settings, as_json=as_json)


def _is_new_table(path: Path) -> bool:
    """Whether a table can be written to the path without overwriting anything."""
    return path.suffix in (".npz", ".csv") and not path.exists() and path.parent.is_dir()


def _of_run(
    directory: Path, trial: int | None, named: str | None, *, every: bool
) -> tuple[SearchSpace, Columns]:
    from nas.config.stored_run import read_run
    from nas.export.rebuild import run_space
    from nas.proxies.profiling import chosen_trials

    if trial is not None and every:
        raise ValueError("--trial and --all are two ways to say which trials: give one of them")
    run = read_run(directory)
    space = run_space(run, space_of(directory, named))
    trials = chosen_trials(space, run.history, trial, every=every)
    columns: Columns = []
    for each in trials:
        score = each.score if each.is_observed else None
        columns.append((each.architecture, {"trial": each.number, "score": score}))
    return space, columns


def _drawn(space: SearchSpace, count: int, seed: int) -> Columns:
    from nas.seeds import generator
    from spaces.operators import sample

    random = generator(seed, "profile: architectures")
    return [(sample(space, random), {}) for _ in range(count)]


def _measured(
    space: SearchSpace, columns: Columns, settings: LatencySettings, seed: int, out: Path | None
) -> list[Profiled]:
    """The measurements, in order. If they are interrupted, those that are done are written too."""
    from dataclasses import replace

    from tqdm import tqdm

    from nas.proxies.profiling import profile as measure
    from nas.proxies.profiling import write

    rows: list[Profiled] = []
    bar = tqdm(
        total=len(columns),
        unit="network",
        file=sys.stderr,
        disable=len(columns) == 1,
        mininterval=0.1 if sys.stderr.isatty() else 10,
    )
    architectures = [architecture for architecture, _ in columns]
    try:
        with bar:
            measurements = measure(space, architectures, settings, seed)
            for row, (_, named) in zip(measurements, columns, strict=True):
                rows.append(replace(row, **named))
                bar.update()
    except KeyboardInterrupt:
        typer.echo(f"\nstopped after {len(rows)} of {len(columns)} networks", err=True)
        raise typer.Exit(130) from None
    finally:
        if out is not None and rows:
            write(rows, out)
    return rows


def _print(
    space: SearchSpace, rows: list[Profiled], settings: LatencySettings, *, as_json: bool
) -> None:
    from nas.proxies.profiling import rank_correlations
    from nas.training.devices import find_device

    correlations, device = rank_correlations(rows), str(find_device(settings.device))
    if as_json:
        stated = {
            "space": space.name,
            "device": device,
            "batch_size": settings.batch_size,
            "threads": settings.threads,
            "rank_correlation": correlations,
            "networks": [row.to_dict() for row in rows],
        }
        typer.echo(json.dumps(stated))
        return
    _print_table(rows)
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    typer.echo(
        f"on {device}, batches of {settings.batch_size}, {threads}; ± is half of a 95 % interval"
    )
    known = {name: value for name, value in correlations.items() if value is not None}
    if known:
        shown = [f"{name.replace('_', '-')} {value:+.2f}" for name, value in known.items()]
        typer.echo(f"rank correlation of the latency with {', with '.join(shown)}")
    if len(rows) > 1 and any(row.score is not None for row in rows):
        typer.echo("* no other is both faster and better by validation")
    doubtful = [row.latency.trouble for row in rows if row.latency.trouble]
    if doubtful:
        typer.echo(
            f"? doubtful, {len(doubtful)} of {len(rows)}: the machine is busy, or the limit too "
            f"short ({doubtful[0]})"
        )


def _print_table(rows: list[Profiled]) -> None:
    """A line for each network; those of a run with a score have a column for it."""
    from nas.proxies.profiling import unbeaten

    scored = any(row.score is not None for row in rows)
    title = (
        f"{'trial' if scored else 'key':<16}  {'ms a pass':>18}  {'memory MB':>9}  "
        f"{'parameters':>11}  {'multiply-adds':>13}"
    )
    typer.echo(title + (f"  {'validation':>10}" if scored else ""))
    for row, best in zip(rows, unbeaten(rows), strict=True):
        name = row.architecture.key
        if row.trial is not None:
            name = f"{row.trial} *" if best and len(rows) > 1 else f"{row.trial}"
        latency, mark = row.latency, "?" if row.latency.trouble else " "
        time = f"{latency.milliseconds:.3f} ± {latency.error:.3f}{mark}"
        line = (
            f"{name:<16}  {time:>18}  {latency.memory / 1e6:>9.2f}  {row.parameters:>11,}  "
            f"{row.multiply_adds:>13,}"
        )
        if scored:
            score = "–" if row.score is None else f"{row.score:.4f}"
            line += f"  {score:>10}"
        typer.echo(line)
