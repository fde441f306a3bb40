"""Spaces found by name, file and module, and the messages if they are not found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spaces import SearchSpace
from spaces.load import SPACES, as_space, known_spaces, load_object, load_space

FILE = """
from spaces import Graph, GraphBuilder, SearchSpace

def tiny(choose):
    builder = GraphBuilder()
    return builder.output(builder.node(choose.one_of("op", ("relu", "tanh")), builder.input((4,))))

space = SearchSpace("mine", tiny)
number = 3

class Thing:
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_space.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", sorted(SPACES))
def test_the_built_in_spaces_are_there(name: str) -> None:
    assert load_space(name).name == name
    assert name in known_spaces()


def test_a_space_in_a_file(file: Path) -> None:
    assert load_space(f"{file}:space").name == "mine"


def test_a_function_in_a_file_becomes_a_space_of_its_name(file: Path) -> None:
    loaded = load_space(f"{file}:tiny")
    assert isinstance(loaded, SearchSpace)
    assert loaded.name == "tiny"


def test_a_file_is_run_once(file: Path) -> None:
    assert load_space(f"{file}:space").define is load_space(f"{file}:space").define


def test_a_file_imports_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_neighbour_of_the_space.py").write_text(FILE)
    (tmp_path / "main.py").write_text("from a_neighbour_of_the_space import space\n")
    assert load_space(f"{tmp_path / 'main.py'}:space").name == "mine"


def test_a_space_in_a_module() -> None:
    assert load_space("spaces.nasbench201:space").name == "nasbench201"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "convnets",
            r"no space is called 'convnets'; did you mean 'convnet'\? "
            r"Known: .*convnet, .*nasbench101, nasbench201.*my_file.py:space",
        ),
        ("zzz", r"no space is called 'zzz'\. Known: "),
        (
            "nowhere.py:space",
            r"there is no file nowhere\.py to take the space 'space' from \(looked from ",
        ),
        ("no_such_package_here.spaces:space", r"there is no module 'no_such_package_here.spaces'"),
        ("spaces.nasbench201:spase", r"spaces\.nasbench201 has no 'spase'; did you mean 'space'\?"),
    ],
)
def test_the_message_says_what_was_not_found(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_space(name)


def test_an_object_that_is_no_space_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="should be a SearchSpace or a function define"):
        load_space(f"{file}:number")
    with pytest.raises(ValueError, match="but is a type"):
        load_space(f"{file}:Thing")
    with pytest.raises(ValueError, match="it has: "):
        load_object(str(file), "zzzzzz", "space")


def test_a_file_that_fails_is_named_and_can_be_loaded_once_repaired(tmp_path: Path) -> None:
    path = tmp_path / "broken_then_mended.py"
    path.write_text("1 / 0\n")
    with pytest.raises(
        ValueError, match="could not be imported: ZeroDivisionError: division by zero"
    ):
        load_space(f"{path}:space")
    path.write_text("import a_package_that_is_not_installed\n")
    with pytest.raises(
        ValueError,
        match=r"No module named 'a_package_that_is_not_installed'\. Install what it needs",
    ):
        load_space(f"{path}:space")
    path.write_text(FILE)
    assert load_space(f"{path}:space").name == "mine"


def test_an_installed_package_offers_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "an_installed_space.py").write_text(FILE)
    information = tmp_path / "an_installed_space-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: an-installed-space\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(
        "[nas.spaces]\nmine = an_installed_space:space\nconvnet = an_installed_space:space\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_space("mine").name == "mine"
    assert load_space("convnet").name == "convnet", "a plug-in does not take a built-in's name"


def test_a_space_is_a_space(file: Path) -> None:
    found = load_space(f"{file}:space")
    assert as_space(found, "x") is found
