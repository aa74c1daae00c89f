"""What is said twice is the same: pages and specs, versions, names. And what a build takes out and puts in."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as xml
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from connector_images import pages
from connector_images.tree import TREE, connectors, metadata, version

sys.path.insert(0, str(TREE / "images"))

each = pytest.mark.parametrize("connector", connectors())


def test_pages_say_what_the_connectors_say() -> None:
    assert [file.name for file in pages.stale()] == [], "run: make pages"
    assert sorted(file.stem for file in pages.FOLDER.glob("*.md")) == connectors()


def test_a_stale_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in pages.FOLDER.glob("*.md"):
        (tmp_path / page.name).write_text(page.read_text())
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    (tmp_path / "source-postgres.md").write_text("old")
    assert [file.name for file in pages.stale()] == ["source-postgres.md"]


@each
def test_metadata_repeats_the_version_and_the_name(connector: str) -> None:
    said = metadata(connector)
    assert said["dockerImageTag"] == version(connector)
    assert said["dockerRepository"] == connector
    assert said["connectorType"] == connector.partition("-")[0]
    assert "language:python" in said["tags"]


def test_definition_ids_are_different() -> None:
    ids = [metadata(connector)["definitionId"] for connector in connectors()]
    assert len(set(ids)) == len(ids)


@each
def test_the_changelog_begins_with_the_version(connector: str) -> None:
    headings = [line for line in (TREE / connector / "CHANGELOG.md").read_text().splitlines() if line.startswith("#")]
    assert headings[:2] == ["# Changelog", f"## {version(connector)}"]


@each
def test_the_command_tells_its_version(connector: str) -> None:
    command = [str(Path(sys.executable).with_name(connector)), "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == f"{connector} {version(connector)}\n"


@each
def test_the_icon_is_a_picture(connector: str) -> None:
    icon = xml.parse(TREE / connector / metadata(connector)["icon"]).getroot()
    assert icon.tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the script runs in images only, with Python 3.11 or newer")
def test_a_connector_needs_what_its_packages_need(tmp_path: Path) -> None:
    packages = {
        "sdk": ('"connector-sdk"', '"msgspec>=0.2"'),
        "chunks": ('"chunks"', '"numpy ; python_version < \'4\'", "connector-sdk>=0.1"'),
        "source-a": ('"source-a"', '"connector-sdk>=0.1", "other[x]>1"'),
        "destination-b": ('"destination-b"', '"chunks", "connector-sdk"'),
    }
    for folder, (name, dependencies) in packages.items():
        (tmp_path / folder).mkdir()
        text = f"[project]\nname = {name}\ndependencies = [{dependencies}]\n"
        (tmp_path / folder / "pyproject.toml").write_text(text)
    needs: Any = import_module("needs")
    ours = needs.projects(tmp_path)
    folders, others = needs.needs("source-a", ours)
    assert (set(folders), others) == ({"source-a", "connector-sdk"}, {"msgspec>=0.2", "other[x]>1"})
    folders, others = needs.needs("destination-b", ours)
    assert set(folders) == {"destination-b", "connector-sdk", "chunks"}
    assert others == {"msgspec>=0.2", "numpy ; python_version < '4'"}


def test_what_never_runs_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "a/tests/t.py",
        "a/tests.py",
        "b/data/s3/x",
        "b/data/ec2/x",
        "b/data/list.json",
        "b/lib.so.2",
        "b/lib.so",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = tmp_path / "patterns"
    patterns.write_text("# a comment\n\n*/tests\nb/data/*/\n!b/data/s3\nb/lib.so\nabsent/*\n")
    slim: Any = import_module("slim")
    slim.main(str(patterns), str(tmp_path))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"patterns", "a/tests.py", "b/data/s3/x", "b/data/list.json", "b/lib.so.2"}
