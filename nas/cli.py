"""The command `nas`. Every command imports what it needs when it runs, so that `nas --help` answers at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nas.cli_forecast import forecast
from nas.cli_options import AsJson, InputShape, OutputShape, Overrides, SpaceOption, Vocabulary
from nas.cli_predictor import predict, predictor_app
from nas.cli_profile import profile
from nas.cli_proxies import proxies
from nas.cli_trials import trials

if TYPE_CHECKING:
    from spaces import Graph

app = typer.Typer(
    name="nas",
    help="Neural architecture search: program your family of models, train few of them, export the best as a plain torch module.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
space_app = typer.Typer(help="Search spaces: list, check and draw them.", no_args_is_help=True, rich_markup_mode=None)
config_app = typer.Typer(help="Configuration files.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(space_app, name="space")
app.add_typer(config_app, name="config")
app.add_typer(predictor_app, name="predictor")
app.command()(proxies)
app.command()(profile)
app.command()(forecast)


@app.command()
def search(
    config: Annotated[Path, typer.Argument(help="A configuration file; `nas init DIR` writes one to start from.")],
    override: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="The run's directory; runs/NAME by default.")] = None,
) -> None:
    """Search for the best architecture, train the finalists fully, and test them."""
    from nas.config import load_config
    from nas.progress import Progress
    from nas.run import start

    with _sentences():
        checked = load_config(config, override or ())
        directory = out if out is not None else _new_directory(config)
        with _about(config), Progress(checked, begun=f"run: {directory}") as progress, _interruptible(directory):
            start(checked, directory, progress)
        _print_summary(directory)


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that a run names which you did not begin on this machine.")] = False,
    changed_data: Annotated[
        bool, typer.Option("--changed-data", help="Go on though the task's data, or the table, are not those that the run began with.")
    ] = False,
    override: Annotated[list[str] | None, typer.Option("-s", "--set", hidden=True)] = None,
) -> None:
    """Go on with a run that was interrupted, losing no finished evaluation."""
    from nas.config import parse_config
    from nas.journal import open_for_reading
    from nas.progress import Progress
    from nas.run import resume as go_on

    with _sentences():
        if override:
            raise ValueError(
                f"a run goes on with the settings that it began with, so {override[0]!r} has no place here: its results would be of two kinds. "
                "For other settings begin a new run, with `nas search CONFIG -s KEY=VALUE`"
            )
        with open_for_reading(directory) as journal:
            config = parse_config(journal.config, f"the configuration in {directory}")
        with Progress(config) as progress, _interruptible(directory):
            go_on(directory, progress, trust=trust, changed_data=changed_data)
        _print_summary(directory)


@app.command()
def status(directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")], as_json: AsJson = False) -> None:
    """Show where a run stands; works while it goes on."""
    with _sentences():
        _print_summary(directory, as_json=as_json)


app.command()(trials)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; RUN/report.html by default.")] = None,
    space: SpaceOption = None,
    as_json: AsJson = False,
) -> None:
    """Write the run's report, one HTML file that needs no network."""
    from nas.report import write_report

    with _sentences():
        written = write_report(directory, out, space=_space_of(directory, space))
        if as_json:
            _print_summary(directory, as_json=True)
        else:
            print(written)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    out: Annotated[Path, typer.Option(help="A new directory for the model.")],
    trial: Annotated[int | None, typer.Option(help="Which trial; the search's winner by default.")] = None,
    format: Annotated[Literal["module", "pt2", "onnx"], typer.Option(help="A Python file with weights, torch.export's format, or ONNX.")] = "module",  # noqa: A002
    space: SpaceOption = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="The architecture with fresh weights, where none were kept.")] = False,
    pareto: Annotated[bool, typer.Option("--pareto", help="Every network of the search's front, where it had several objectives.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export a trained model that runs without this project, and prove it in a fresh process."""
    from nas.export import export as export_run
    from nas.export import export_front

    with _sentences():
        if pareto and trial is not None:
            raise ValueError(f"--pareto exports the whole front and --trial {trial} one network: give one of them")
        if pareto:
            exported = export_front(directory, format=format, out=out, space=_space_of(directory, space), untrained=untrained)
        else:
            exported = export_run(directory, trial=trial, format=format, out=out, space=_space_of(directory, space), untrained=untrained)
        if as_json:
            print(json.dumps(exported.to_dict()))
        else:
            print(exported)


@app.command()
def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it is not there.")]) -> None:
    """Write a config, a space and a task to start from; they run as they are."""
    from nas.init import init as write

    with _sentences():
        for path in write(directory):
            print(path)
        print(f"\nStart with: cd {directory} && nas search config.yaml")


@space_app.command("list")
def space_list(as_json: AsJson = False) -> None:
    """List the built-in spaces and those of installed packages."""
    from spaces.load import known_spaces

    with _sentences():
        known = known_spaces()
        if as_json:
            print(json.dumps(known))
            return
        width = max(map(len, known))
        for name, where in sorted(known.items()):
            print(f"{name:<{width}}  {where}")


@space_app.command("check")
def space_check(
    name: Annotated[str, typer.Argument(help="A built-in or installed space, my_file.py:space or package.module:space.")],
    count: Annotated[int, typer.Option(min=1, help="How many architectures are drawn.")] = 100,
    seed: int = 0,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    vocabulary: Vocabulary = None,
    as_json: AsJson = False,
) -> None:
    """Draw architectures, build, run and replay them; exit with 1 and the reasons where the space is broken."""
    from nas.shapes import shapes_of_options
    from predictors.features import learn_encoding
    from predictors.terms import readable
    from spaces.check import check, report_text
    from spaces.load import load_space

    def encode(graph: Graph) -> object:
        read = [readable(graph)]
        return learn_encoding(read).encode(read)

    with _sentences():
        space = load_space(name)
        shapes = shapes_of_options(space.shapes, input_shape, output_shape, vocabulary)
        checked = check(space.for_shapes(shapes), count=count, seed=seed, encode=encode)
        print(json.dumps(checked.to_dict()) if as_json else report_text(checked))
    if checked.problems:
        raise typer.Exit(1)


@space_app.command("show")
def space_show(
    name: Annotated[str, typer.Argument(help="A built-in or installed space, my_file.py:space or package.module:space.")],
    seed: Annotated[int, typer.Option(help="Which random architecture.")] = 0,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing to this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw one random architecture of a space."""
    from random import Random

    from spaces.draw import draw_svg, draw_text
    from spaces.load import load_space
    from spaces.operators import sample_graph

    with _sentences():
        architecture, graph = sample_graph(load_space(name), Random(seed))
        if svg is not None:
            _write(svg, draw_svg(graph, title=f"{architecture.space} {architecture.key}"))
        if as_json:
            print(json.dumps({"architecture": json.loads(architecture.to_json()), "graph": json.loads(graph.to_json())}))
        else:
            print(f"{architecture}\n\n{draw_text(graph)}")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of configuration files."""
    from nas.config import schema

    with _sentences():
        print(json.dumps(schema(), indent=2))


@config_app.command("show")
def config_show(config: Annotated[Path, typer.Argument(help="A configuration file.")], override: Overrides = None, as_json: AsJson = False) -> None:
    """Check a configuration file and print it with the defaults of its own keys filled in."""
    import yaml

    from nas.compose import check_numbers, strategy_of
    from nas.config import load_config

    with _sentences():
        checked = load_config(config, override or ())
        with _about(config):
            check_numbers(checked)
            strategy_of(checked)  # Its settings, and the predictor's, are checked by themselves.
        resolved = checked.model_dump(mode="json")
        print(json.dumps(resolved) if as_json else yaml.safe_dump(resolved, sort_keys=False), end="" if not as_json else "\n")


app.command()(predict)


def main() -> None:
    """The entry point of the command `nas`."""
    app()


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors that have a sentence are shown as that sentence: exit code 2 where the user can mend it, 1 where it is ours or the machine's."""
    from nas.errors import exit_code, sentence

    try:
        yield
        # Here, and not at the interpreter's end, where an error of what was printed would have no sentence.
        print(end="", flush=True)
    except typer.Exit:
        raise
    except BrokenPipeError:
        # Whoever read the output (head, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except Exception as error:
        code = exit_code(error)
        if code is None or os.environ.get("NAS_TRACEBACK"):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        raise typer.Exit(code) from error


@contextmanager
def _about(config: Path) -> Iterator[None]:
    """What is found wrong with a configuration after it was read is said with its file's name too."""
    from nas.config import ConfigError

    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from error


@contextmanager
def _interruptible(directory: Path) -> Iterator[None]:
    from nas.journal import FILE

    try:
        yield
    except KeyboardInterrupt:
        begun = (directory / FILE).exists()
        print("\nstopped" + (f"; nothing that was finished is lost. Go on with: nas resume {directory}" if begun else ""), file=sys.stderr)
        raise typer.Exit(130) from None


def _new_directory(config: Path) -> Path:
    """runs/NAME, or runs/NAME-2 and so on where that is taken."""
    first = Path("runs") / config.stem
    number, directory = 2, first
    while directory.exists():
        directory = first.with_name(f"{first.name}-{number}")
        number += 1
    return directory


def _print_summary(directory: Path, *, as_json: bool = False) -> None:
    from nas.config import parse_config
    from nas.history import fold
    from nas.journal import open_for_reading
    from nas.report.summary import summarize, terminal_summary

    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        events = journal.events()
        summary: dict[str, Any] = {"run": str(directory), **summarize(fold(events), config, events), "config": journal.config}
    print(json.dumps(summary) if as_json else terminal_summary(summary))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error


def _space_of(directory: Path, named: str | None) -> Any:
    """The space that the user names; or the run's own, where this user has begun the run on this machine."""
    from nas.journal import open_for_reading
    from nas.trust import is_sealed
    from spaces.load import load_space

    if named is not None:
        return load_space(named)
    with open_for_reading(directory) as journal:
        ours = is_sealed(journal.config, journal.environment.get("seal", ""))
        return load_space(journal.config["space"]) if ours else None
