"""The documentation holds: its Python runs and prints what it shows, its links lead somewhere, its
tables are the program's own.

A page's ```python blocks run in order, in one module, in a directory that has the repository's
configs and examples. Behind the language stand:

    python no-run        is not run
    python my_space.py   is also written to that file, and traceback lines name it
    text output          is exactly what the Python block before it printed

A ```yaml block that names a space is a whole configuration. Of a ```console block each command is
parsed, not run.
"""

from __future__ import annotations

import inspect
import io
import linecache
import re
import shlex
import shutil
import sys
import textwrap
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from nas.cli.main import app
from nas.config.compose import strategy_of
from nas.config.config import parse_config, schema
from nas.tasks import TASKS
from spaces.load import load_object

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
    if path.exists()
]
CONFIGURATION, COMMANDS = ROOT / "docs" / "configuration.md", ROOT / "docs" / "commands.md"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind its fence, its text, and the line of the page on which the
    text begins.
    """

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


@pages
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
    printed = ""
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        if block.language == "python" and "no-run" not in block.words:
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
            assert printed.rstrip() == block.text.rstrip(), f"{place} shows another output"


@pages
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(
        r"^ *(```+)[^`\n]*\n.*?^ *\1 *$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in anchors(file), (
            f"{page.name} links to {target}: no such heading"
        )
    for path in re.findall(
        r"`((?:spaces|predictors|nas|tests|docs|configs|examples|benchmarks)/[\w/.-]+\.(?:py|md|yaml|csv|toml))",
        prose,
    ):
        assert (ROOT / path).exists(), f"{page.name} names {path}, which is not there"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_configurations_are_accepted(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("yaml", "yml"):
            loaded = yaml.safe_load(block.text)
            if isinstance(loaded, dict) and "space" in loaded:
                parse_config(loaded, f"{page.name}, line {block.line}")


@pages
def test_commands_exist(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("console", "bash", "sh", "shell"):
            for line in block.text.replace("\\\n", " ").splitlines():
                command = re.match(r"(?:\$ )?(?:.venv/bin/)?nas ([^|>&]+)", line)
                if command:
                    parse_command(
                        shlex.split(command[1], comments=True),
                        f"{page.name}, after line {block.line}: {line}",
                    )


def parse_command(arguments: list[str], place: str) -> None:
    """Fails where there is no such command or option; runs nothing."""
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
        # There only to be answered with a sentence.
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


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_every_key_is_described_with_its_default() -> None:
    """The tables' first column is the key, the third the default; `required` where there is none."""
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
    """Every key of a JSON schema with dots, and its default as YAML; sections are left out, what is
    in them is not.
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
