"""The commands `nas predictor fit`, `nas predictor eval` and `nas predict`: a predictor without a
search.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import sentences
from nas.cli.options import AsJson

if TYPE_CHECKING:
    from nas.prediction.asking import Believed
    from nas.prediction.saved import About

predictor_app = typer.Typer(
    help="Predictors without a search: fit one and judge it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Directory = Annotated[
    Path, typer.Argument(metavar="PREDICTOR", help="What `nas predictor fit` wrote.")
]
DRAWS = 10_000


@predictor_app.command("fit")
def predictor_fit(
    source: Annotated[
        str, typer.Argument(help="A run's directory, a table FILE.npz, or builtin:nasbench201.")
    ],
    out: Annotated[Path, typer.Option(help="A new directory for the predictor.")],
    space: Annotated[
        str | None, typer.Option(help="The table's space; of a run its own by default.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The table's column, or COLUMN:INDEX; of a run the validation score.",
        ),
    ] = None,
    predictor: Annotated[
        str | None, typer.Option(help="Which predictor; that of a configuration by default.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="KEY=VALUE", help="A setting of the predictor."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Fit on so many labels, drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of the fit.")] = 0,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="The score is a loss, a latency, ...")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help=(
                "Also fit five times without a fifth of the labels, and say how those are "
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
            print(
                json.dumps(
                    {
                        "predictor": str(out),
                        **about.model_dump(mode="json", exclude={"labels", "seal"}),
                        "labels": len(about.labels),
                    }
                )
            )
            return
        print(f"{about.predictor} in {out}, fitted to {_fitted_on(about)} in {about.seconds:.1f} s")
        if about.check is not None:
            print(
                f"held out in fifths: rank correlation {about.check['spearman']:.3f}, 90 % "
                f"intervals hold {about.check['coverage_90']:.0%}"
            )


@predictor_app.command("eval")
def predictor_eval(
    directory: Directory,
    source: Annotated[
        str,
        typer.Argument(
            help=(
                "What it is judged on: a table FILE.npz, builtin:nasbench201, or a run's directory."
            )
        ),
    ],
    score: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column; the one that it was fitted on by default."
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="The space; the one that it was fitted on by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a predictor on all architectures of a table or run that are not isomorphic to one that
    it was fitted on.
    """
    with sentences():
        from nas.prediction.judging import evaluate
        from nas.prediction.labels import is_table, read_labels
        from nas.prediction.saved import load, space_name

        trained = load(directory)
        about = trained.about
        labels = read_labels(
            source,
            space=space_name(about, space) if is_table(source) else space,
            column=score or about.column,
        )
        figures = {
            "predictor": str(directory),
            "source": source,
            "column": labels.column,
            **evaluate(trained, labels),
        }
        print(json.dumps(figures) if as_json else _figures(about, figures))


def predict(
    directory: Directory,
    space: Annotated[
        str | None,
        typer.Option(help="The space; the one that the predictor was fitted on by default."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help=f"Look at so many random architectures; {DRAWS:,} by default."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Look at every architecture of the space.")
    ] = False,
    arch: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Look at the architecture, or the list of them, in this JSON file; may be repeated."
            ),
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many are shown.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random architectures.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write all predictions to this CSV file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the architectures that a predictor believes are best."""
    with sentences():
        from tqdm import tqdm

        from nas.prediction.asking import enumerated, read_architectures, sampled
        from nas.prediction.asking import predict as ask
        from nas.prediction.saved import load, space_of

        if (sample is not None) + every + bool(arch) > 1:
            raise ValueError(
                "--sample, --all and --arch are three ways to say which architectures are looked "
                "at: give one of them"
            )
        trained = load(directory)
        about, known = trained.about, space_of(trained.about, space)
        if arch:
            architectures = [
                architecture for path in arch for architecture in read_architectures(path)
            ]
            candidates, total = (
                ((architecture, known.graph(architecture)) for architecture in architectures),
                len(architectures),
            )
        elif every:
            candidates, total = enumerated(known), None
        else:
            candidates, total = sampled(known, sample or DRAWS, seed), sample or DRAWS
        with tqdm(
            candidates,
            total=total,
            desc="predicted",
            unit=" architectures",
            file=sys.stderr,
            leave=False,
            disable=None,
        ) as shown:
            ranked = ask(trained, shown, distinct=not arch)
        if out is not None:
            _write_csv(out, ranked.best)
        best, distinct = ranked.best[:top], len(ranked.best)
        if as_json:
            units = {"column": about.column, "lower_is_better": about.lower_is_better}
            described = [
                {"rank": rank, **_described(item)} for rank, item in enumerate(best, start=1)
            ]
            print(
                json.dumps(
                    {
                        "predictor": str(directory),
                        **units,
                        "looked_at": ranked.looked_at,
                        "distinct": distinct,
                        "best": described,
                    }
                )
            )
            return
        better = "lower" if about.lower_is_better else "higher"
        print(_table(best))
        print(
            f"\n{distinct:,} distinct of {ranked.looked_at:,} architectures; {about.column}, "
            f"{better} is better"
        )


def _settings(texts: Sequence[str]) -> dict[str, Any]:
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
    several = (
        f" ({about.rows:,} labels, isomorphic architectures having their own)"
        if about.rows != len(about.labels)
        else ""
    )
    return f"{about.column} of {len(about.labels):,} architectures of {about.source}{several}"


def _figures(about: About, figures: dict[str, Any]) -> str:
    without = f", {figures['without']:,} have no number" if figures["without"] else ""
    lines = [
        f"{about.predictor}, fitted to {_fitted_on(about)}",
        f"judged on {figures['column']} of {figures['number']:,} architectures of "
        f"{figures['source']}; "
        f"{figures['left_out']:,} are isomorphic to what it was fitted on{without}",
        "",
        *(
            f"  {name:23} {figures[key]:.4g}"
            for name, key in (
                ("Kendall's tau", "kendall_tau"),
                ("Spearman's correlation", "spearman"),
                ("precision at 0.5 %", "precision_at_0.005"),
                ("regret of the top 10", "regret_of_top_10"),
                ("negative log likelihood", "nll"),
            )
        ),
        f"  {'intervals hold':23} "
        + ", ".join(
            f"{float(level):.0%}: {share:.1%}" for level, share in figures["coverage"].items()
        ),
        f"  {'predicted a second':23} {figures['predicted_per_second']:,.0f}",
    ]
    return "\n".join(lines)


def _described(believed: Believed) -> dict[str, Any]:
    numbers = {
        name: getattr(believed, name)
        for name in ("mean", "std", "aleatoric", "epistemic", "measured")
    }
    return {
        **numbers,
        "canonical": believed.canonical,
        "architecture": json.loads(believed.architecture.to_json()),
    }


def _table(best: Iterable[Believed]) -> str:
    rows: list[tuple[str, ...]] = [
        ("rank", "mean", "std", "aleatoric", "epistemic", "measured", "architecture")
    ]
    for rank, item in enumerate(best, start=1):
        numbers = [
            f"{value:.4g}" for value in (item.mean, item.std, item.aleatoric, item.epistemic)
        ]
        rows.append(
            (
                str(rank),
                *numbers,
                "" if item.measured is None else f"{item.measured:.4g}",
                str(item.architecture),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [*(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        )
        for row in rows
    )


def _write_csv(path: Path, believed: Iterable[Believed]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(
                (
                    "rank",
                    "mean",
                    "std",
                    "aleatoric",
                    "epistemic",
                    "measured",
                    "canonical",
                    "architecture",
                )
            )
            for rank, item in enumerate(believed, start=1):
                numbers = (item.mean, item.std, item.aleatoric, item.epistemic, item.measured)
                writer.writerow((rank, *numbers, item.canonical, item.architecture.to_json()))
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
