"""The commands `nas predictor fit` and `nas predictor eval`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson, PredictorDirectory

if TYPE_CHECKING:
    from nas.prediction.saved import About

# The printed name of a figure, and its key in the JSON.
_FIGURES = {
    "Kendall's tau": "kendall_tau",
    "Spearman's correlation": "spearman",
    "precision at 0.5 %": "precision_at_0.005",
    "regret of the top 10": "regret_of_top_10",
    "negative log likelihood": "nll",
}

predictor_app = typer.Typer(
    help="Predictors without a search: fit one, and evaluate it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@predictor_app.command("fit")
def predictor_fit(
    source: Annotated[
        str, typer.Argument(help="A run's directory, a table FILE.npz, or builtin:nasbench201.")
    ],
    out: Annotated[Path, typer.Option(help="A new directory for the predictor.")],
    space: Annotated[
        str | None, typer.Option(help="The table's space; for a run its own by default.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help=(
                "The table's column, or COLUMN:INDEX; for a run the validation score by default, "
                "or a metric."
            ),
        ),
    ] = None,
    predictor: Annotated[
        str | None, typer.Option(help="Its name; by default that of a configuration.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="KEY=VALUE", help="A setting of the predictor."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="How many labels, drawn at random, to fit on; by default all."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the sample and of the fit.")] = 0,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="The score is a loss, a latency or the like.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help=(
                "Also fit five times without a fifth of the labels, and print how well those are "
                "predicted."
            ),
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a predictor to the scores in a run or a table, and save it."""
    with sentences():
        from nas.prediction.fitting import DEFAULT, drawn, fit
        from nas.prediction.labels import is_table, read_labels
        from nas.prediction.saved import check_free, save

        check_free(out)
        if lower_is_better and not is_table(source) and score in (None, "score"):
            raise ValueError(
                "a run's validation score is higher-is-better whatever its metric: leave "
                "--lower-is-better out, or name another --score"
            )
        settings = _settings(setting or ())
        labels = read_labels(source, space=space, column=score)
        if sample is not None:
            labels = drawn(labels, sample, seed)
        name = predictor or DEFAULT
        print(f"fitting {name}", file=sys.stderr)
        trained = fit(
            labels, name, settings, seed=seed, lower_is_better=lower_is_better, check=check
        )
        save(trained, out)
        about = trained.about
        if as_json:
            described = about.model_dump(mode="json", exclude={"labels", "seal"})
            described = {"predictor": str(out), **described, "labels": len(about.labels)}
            print(json.dumps(described))
            return
        print(f"{about.predictor} in {out}, fitted to {_fitted_on(about)} in {about.seconds:.1f} s")
        if about.check is not None:
            print(
                f"held out in fifths: rank correlation {about.check['spearman']:.3f}, 90 % "
                f"intervals hold {about.check['coverage_90']:.0%}"
            )


@predictor_app.command("eval")
def predictor_eval(
    directory: PredictorDirectory,
    source: Annotated[
        str,
        typer.Argument(
            help=(
                "What to evaluate it on: a table FILE.npz, builtin:nasbench201, or a run's "
                "directory."
            )
        ),
    ],
    score: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column; by default the one that it was fitted on."
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="The space; by default the one that it was fitted on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a predictor on all architectures of a table or run that are new to it.

    An architecture is new if it is not isomorphic to one that the predictor was fitted on.
    """
    with sentences():
        from nas.prediction.judging import evaluate
        from nas.prediction.labels import is_table, read_labels
        from nas.prediction.saved import load, space_name

        trained = load(directory)
        about = trained.about
        named = space_name(about, space) if is_table(source) else space
        labels = read_labels(source, space=named, column=score or about.column)
        figures = {
            "predictor": str(directory),
            "source": source,
            "column": labels.column,
            **evaluate(trained, labels),
        }
        print(json.dumps(figures) if as_json else _figures(about, figures))


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    """The settings in texts `key=value`, each value read as YAML."""
    import yaml

    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"a setting is key=value, such as -s caution=20; got {text!r}")
        try:
            settings[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"the value of the setting {text!r} is not YAML: {error}") from error
    return settings


def _fitted_on(about: About) -> str:
    fitted_on = f"{about.column} of {len(about.labels):,} architectures of {about.source}"
    if about.rows == len(about.labels):
        return fitted_on
    return f"{fitted_on} ({about.rows:,} labels, isomorphic architectures having their own)"


def _figures(about: About, figures: dict[str, Any]) -> str:
    """The figures of an evaluation as lines of text."""
    without = f", {figures['without']:,} have no number" if figures["without"] else ""
    judged_on = f"{figures['number']:,} architectures of {figures['source']}"
    known = f"{figures['left_out']:,} are isomorphic to what it was fitted on"
    levels = figures["coverage"].items()
    values = {name: f"{figures[key]:.4g}" for name, key in _FIGURES.items()}
    values["intervals hold"] = ", ".join(
        f"{float(level):.0%}: {held:.1%}" for level, held in levels
    )
    values["predicted a second"] = f"{figures['predicted_per_second']:,.0f}"
    lines = [
        f"{about.predictor}, fitted to {_fitted_on(about)}",
        f"judged on {figures['column']} of {judged_on}; {known}{without}",
        "",
        *(f"  {name:23} {value}" for name, value in values.items()),
    ]
    return "\n".join(lines)
