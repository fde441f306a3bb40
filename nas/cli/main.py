"""The command `nas` with all its subcommands.

Every command imports what it needs when it runs, so that `nas --help` answers at once.
"""

from __future__ import annotations

import typer

from nas.cli.config import config_app
from nas.cli.forecast import forecast
from nas.cli.init import init
from nas.cli.predict import predict
from nas.cli.predictor import predictor_app
from nas.cli.profile import profile
from nas.cli.proxies import proxies
from nas.cli.record import record
from nas.cli.results import export, report, status
from nas.cli.search import resume, search
from nas.cli.space import space_app
from nas.cli.trials import trials

app = typer.Typer(
    name="nas",
    help=(
        "Neural architecture search: program a family of models, train few of them, and export the "
        "best as a plain torch module."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


# The order is that of `nas --help`.
for command in (
    proxies,
    profile,
    forecast,
    search,
    resume,
    status,
    trials,
    report,
    export,
    init,
    record,
    predict,
):
    app.command()(command)
for name, group in (("space", space_app), ("config", config_app), ("predictor", predictor_app)):
    app.add_typer(group, name=name)


def main() -> None:
    """The entry point of the command `nas`."""
    app()
