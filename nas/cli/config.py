"""The commands `nas config`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import AsJson, Overrides

config_app = typer.Typer(help="Configuration files.", no_args_is_help=True, rich_markup_mode=None)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of configuration files."""
    from nas.config.config import schema

    with sentences():
        print(json.dumps(schema(), indent=2))


@config_app.command("show")
def config_show(
    config: Annotated[Path, typer.Argument(help="A configuration file.")],
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a configuration file and print it with the defaults of its own keys filled in."""
    import yaml

    from nas.config.compose import check_numbers, strategy_of
    from nas.config.config import load_config

    with sentences():
        checked = load_config(config, override or ())
        with about(config):
            check_numbers(checked)
            strategy_of(checked)  # Its settings, and the predictor's, are checked by themselves.
        resolved = checked.model_dump(mode="json")
        print(
            json.dumps(resolved) if as_json else yaml.safe_dump(resolved, sort_keys=False),
            end="" if not as_json else "\n",
        )
