"""The documentation is true: its code runs, its links exist, its tables are the program's own.

A page's ```python blocks run in order, in one module, in a directory that has the repository's
configs and examples. The words after the language have a meaning:

    python no-run        is not run
    python my_space.py   is also written to that file, and traceback lines name it
    text output          is exactly what the Python block before it printed

A ```yaml block is a whole configuration if it names a space; otherwise it has sections of one. The
commands of a ```console block are parsed, not run.

Each kind of check runs on the pages that have something to check, and `CHECKED` says how many
these are at least: a pattern that stops to match anything fails.
"""

from __future__ import annotations

import inspect
import io
import linecache
import pkgutil
import re
import shlex
import shutil
import sys
import textwrap
import tomllib
import types
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from nas.cli.main import app
from nas.config.json_schema import schema
from nas.config.loading import parse_config
from nas.config.strategy import strategy_of
from nas.tasks import TASKS
from spaces.load import load_object

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "nas" / "data" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
README, CONFIGURATION, COMMANDS = (
    ROOT / page for page in ("README.md", "docs/configuration.md", "docs/commands.md")
)
CHANGES = ROOT / "CHANGELOG.md"
# Groups of entry points, which have names like modules.
ENTRY_POINTS = ("nas.spaces", "nas.tasks")
# On how many pages each kind of check finds something, at least.
CHECKED = {"python": 5, "links": 15, "names": 8, "yaml": 2, "commands": 5}
# A ```yaml block that has only some sections is checked inside one of these configurations.
TRAINED = {"space": "convnet", "task": "digits"}


@dataclass(frozen=True)
class Block:
    """A fenced block: language, further words, text, and the number of its first line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    fence, words, start, lines = "", [], 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        opened = re.match(r"^ *(```+)([^`]*)$", line)
        if not fence and opened:
            fence, words, start, lines = opened[1], opened[2].split(), number + 1, []
        elif fence and line.strip() == fence:
            yield Block(
                words[0] if words else "",
                tuple(words[1:]),
                textwrap.dedent("\n".join(lines)) + "\n",
                start,
            )
            fence = ""
        elif fence:
            lines.append(line)
    assert not fence, f"{page.name}: the block that begins on line {start} does not end"


def runs(block: Block) -> bool:
    return block.language == "python" and "no-run" not in block.words


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def named_files(page: Path) -> list[str]:
    folders = "spaces|predictors|nas|tests|docs|configs|examples|benchmarks"
    return re.findall(rf"`((?:{folders})/[\w/.-]+\.(?:py|md|yaml|csv|toml))", prose(page))


def named_objects(page: Path) -> list[str]:
    """The dotted names of our packages in the prose, without the old names of the change log."""
    text = (
        re.sub(r"^\|[^|]*\|", "|", prose(page), flags=re.MULTILINE)
        if page == CHANGES
        else prose(page)
    )
    found = re.findall(r"`((?:spaces|predictors|nas)(?:\.\w+)+)[`(]", text)
    return [name for name in found if name not in ENTRY_POINTS]


def prose(page: Path) -> str:
    """The page without its blocks."""
    fenced = re.compile(r"^ *(```+)[^`\n]*\n.*?^ *\1 *$", flags=re.MULTILINE | re.DOTALL)
    return fenced.sub("", page.read_text())


def configurations(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("yaml", "yml")]


def shown_commands(page: Path) -> list[tuple[str, str]]:
    """The `nas` commands of the page without the name `nas`, each with its place in the page."""
    found = []
    for block in blocks(page):
        if block.language in ("console", "bash", "sh", "shell"):
            for line in block.text.replace("\\\n", " ").splitlines():
                command = re.match(r"(?:\$ )?(?:.venv/bin/)?nas ([^|>&]+)", line)
                if command:
                    found.append((command[1], f"{page.name}, after line {block.line}: {line}"))
    return found


WITH: dict[str, Callable[[Path], bool]] = {
    "python": lambda page: any(map(runs, blocks(page))),
    "links": lambda page: bool(links(page) or named_files(page)),
    "names": lambda page: bool(named_objects(page)),
    "yaml": lambda page: bool(configurations(page)),
    "commands": lambda page: bool(shown_commands(page)),
}


def pages_with(kind: str) -> pytest.MarkDecorator:
    """Parametrises a test with the pages on which it has something to check."""
    return pytest.mark.parametrize(
        "page", list(filter(WITH[kind], PAGES)), ids=lambda page: page.name
    )


@pytest.mark.parametrize("kind", WITH)
def test_there_is_something_to_check(kind: str) -> None:
    found = [page.name for page in PAGES if WITH[kind](page)]
    assert len(found) >= CHECKED[kind], f"{kind} is found on {found} only"


@pages_with("python")
def test_python_runs_and_prints_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("configs", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed: str | None = None
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        if runs(block):
            name = next(
                (word for word in block.words if word.endswith(".py")),
                f"{page.stem}_{block.line}.py",
            )
            if name in block.words:
                (tmp_path / name).write_text(block.text)
            linecache.cache[name] = (
                len(block.text),
                None,
                block.text.splitlines(keepends=True),
                name,
            )
            with redirect_stdout(io.StringIO()) as out:
                try:
                    exec(compile(block.text, name, "exec"), vars(module))
                except Exception as error:
                    raise AssertionError(
                        f"the Python of {place} does not run: {type(error).__name__}: {error}"
                    ) from error
            printed = out.getvalue()
        elif block.language == "text" and "output" in block.words:
            assert printed is not None, f"no Python runs before the output of {place}"
            assert printed.rstrip() == block.text.rstrip(), f"{place} shows another output"


@pages_with("links")
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(file), (
            f"{page.name} links to {target}: no such heading"
        )
    for path in named_files(page):
        assert (ROOT / path).exists(), f"{page.name} names {path}, which is not there"


@pages_with("names")
def test_named_objects_exist(page: Path) -> None:
    missing = []
    for name in named_objects(page):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            missing.append(name)
    assert not missing, f"{page.name} names {', '.join(missing)}, which is not there"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages_with("yaml")
def test_configurations_are_accepted(page: Path) -> None:
    for block in configurations(page):
        loaded = yaml.safe_load(block.text)
        place = f"{page.name}, line {block.line}"
        assert isinstance(loaded, dict), f"{place} is no configuration"
        parse_config(loaded if "space" in loaded else {**TRAINED, **loaded}, place)


@pages_with("commands")
def test_commands_exist(page: Path) -> None:
    for command, place in shown_commands(page):
        parse_command(shlex.split(command, comments=True), place)


def parse_command(arguments: list[str], place: str) -> None:
    """Fails if there is no such command or option; runs nothing."""
    command: Any = typer.main.get_command(app)
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if arguments in ([], ["--help"]) and hasattr(command, "commands"):
        return
    assert not hasattr(command, "commands"), f"there is no such command: {place}"
    try:
        command.make_context(
            "nas",
            [argument for argument in arguments if argument != "--help"],
            resilient_parsing="--help" in arguments,
        )
    except Exception as error:
        raise AssertionError(f"{place}: {getattr(error, 'message', error)}") from error


def test_every_command_and_option_is_described() -> None:
    text = COMMANDS.read_text()
    sections = dict(
        re.findall(r"^## `nas ([a-z ]+)`\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    )
    leaves = dict(commands(typer.main.get_command(app)))
    assert sections.keys() == leaves.keys()
    for name, command in leaves.items():
        shown = [
            parameter for parameter in command.params if not getattr(parameter, "hidden", False)
        ]
        # Options that exist only so that an error can explain them.
        hidden = {
            option
            for parameter in command.params
            if parameter not in shown
            for option in parameter.opts
        }
        assert hidden == ({"-s", "--set"} if name == "resume" else set())
        options = {
            option for parameter in shown for option in parameter.opts if option.startswith("-")
        } - {"--help"}
        described = set(re.findall(r"^\| `(-[^`]*)`", sections[name], flags=re.MULTILINE))
        described = {option.split()[0] for entry in described for option in entry.split(", ")}
        assert described == options, f"the options of nas {name}"


def test_the_readme_names_every_command_and_extra() -> None:
    synopsis = README.read_text().split("## The commands")[1].split("```")[1]
    named = set()
    for first, others in re.findall(r"nas ([a-z]+(?: [a-z]+)?)((?: \| [a-z]+)*)", synopsis):
        group = first.split()[0]
        named |= {first, *(f"{group} {other}" for other in others.split(" | ")[1:])}
    assert named == dict(commands(typer.main.get_command(app))).keys()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]
    for extra in project["optional-dependencies"]:
        assert f"`{extra}`" in README.read_text(), f"the extra {extra}"


def test_the_readme_lists_every_wing() -> None:
    listed = re.findall(r"^  (\w+)/ ", README.read_text(), flags=re.MULTILINE)
    wings = {path.parent.name for path in (ROOT / "nas").glob("*/__init__.py")}
    assert sorted(listed) == sorted(wings)


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_every_key_is_described_with_its_default() -> None:
    """The first column is the key; the third is the default, or `required` if there is none."""
    rows = re.findall(
        r"^\| `([a-z_.]+)` \|[^|]*\| *([^|]*?) *\|", CONFIGURATION.read_text(), flags=re.MULTILINE
    )
    described = sorted(
        (key, default.strip("`")) for key, default in rows if not key.endswith(".name")
    )
    expected = sorted(
        (key, default)
        for key, default in (*keys(schema()), *task_options())
        if not key.endswith(".name")
    )
    assert described == expected


def test_the_annotated_configuration_is_complete() -> None:
    (block,) = (
        block
        for block in blocks(CONFIGURATION)
        if block.language == "yaml" and "complete" in block.words
    )
    loaded = yaml.safe_load(block.text)
    config = parse_config(loaded, "the annotated configuration")
    assert loaded == config.model_dump(mode="json"), (
        "each key is there, and has the value that it is read as"
    )
    assert shown(strategy_of(config)) == config.strategy.settings
    assert shown(strategy_of(config).predictor) == config.predictor.settings  # type: ignore[attr-defined]


def shown(settings: Any) -> dict[str, Any]:
    """The settings that a configuration may give, as it gives them."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings) if field.repr}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def keys(
    described: dict[str, Any], prefix: str = "", definitions: dict[str, Any] | None = None
) -> Iterator[tuple[str, str]]:
    """The keys of a JSON schema, written with dots, with their defaults as YAML.

    The keys inside a section are given instead of the section.
    """
    definitions = described.get("$defs", {}) if definitions is None else definitions
    required = described.get("required", [])
    for name, value in described["properties"].items():
        choices = [
            resolved(item, definitions)
            for item in (value, *value.get("anyOf", ()), *value.get("oneOf", ()))
        ]
        sections = [item for item in choices if item.get("properties") and prefix == ""]
        for section in sections:
            yield from keys(section, f"{prefix}{name}.", definitions)
        if not sections:
            yield prefix + name, "required" if name in required else as_yaml(value.get("default"))


def resolved(item: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return definitions[item["$ref"].rpartition("/")[2]] if "$ref" in item else item


def task_options() -> Iterator[tuple[str, str]]:
    for where in TASKS.values():
        make = load_object(*where.split(":"), "task")
        for name, parameter in inspect.signature(make).parameters.items():
            yield (
                f"task.{name}",
                "required" if parameter.default is parameter.empty else as_yaml(parameter.default),
            )


def as_yaml(value: Any) -> str:
    return (
        yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True)
        .removesuffix("\n...\n")
        .strip()
    )
