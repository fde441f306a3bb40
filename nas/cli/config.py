"""The commands `nas config schema` and `nas config show`."""

from __future__ import annotations

import json

import typer

from nas.cli.errors import about, sentences
from nas.cli.options import AsJson, ConfigFile, Overrides

config_app = typer.Typer(help="Configuration files.", no_args_is_help=True, rich_markup_mode=None)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of configuration files."""
    from nas.config.json_schema import schema

    with sentences():
        print(json.dumps(schema(), indent=2))


@config_app.command("show")
def config_show(
    config: ConfigFile,
    override: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a configuration file and print it with the defaults of its own keys filled in."""
    import yaml

    from nas.config.loading import load_config
    from nas.config.numbers import check_numbers
    from nas.config.strategy import strategy_of

    with sentences():
        checked = load_config(config, override or ())
        with about(config):
            check_numbers(checked)
            # Making the strategy checks its settings and those of the predictor.
            strategy_of(checked)
        resolved = checked.model_dump(mode="json")
        if as_json:
            print(json.dumps(resolved))
        else:
            print(yaml.safe_dump(resolved, sort_keys=False), end="")
