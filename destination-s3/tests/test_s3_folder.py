"""The local folder: what only a file system can do wrong."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from connector_sdk import ConfigError, ConfiguredStream, TransientError
from destination_s3.folder import folder_of
from destination_s3.write import check


def root(place: Any) -> Path:
    return folder_of(place.options["bucket"])


def test_a_file_where_the_folder_should_be(folder: Any) -> None:
    root(folder).write_text("in the way")
    with pytest.raises(ConfigError, match="name another folder"):
        check(folder.config())


def test_a_folder_inside_of_a_file(folder: Any, users: ConfiguredStream) -> None:
    root(folder).write_text("in the way")
    with pytest.raises(ConfigError, match="name another folder"):
        folder.write(users, [{"id": 1}], path="deeper")


def test_a_full_disk_is_told_and_leaves_nothing(
    folder: Any, users: ConfiguredStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.write(users, [{"id": 1}])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="No space left"):
        folder.write(users, [{"id": 2}])
    assert folder.rows() == [{"id": 1}]
    assert folder.unfinished() == []


def test_the_note_says_whose_files_they_are(folder: Any) -> None:
    folder.write(ConfiguredStream("한국", None, generation_id=3), [{"id": 1}])
    (note,) = (root(folder) / ".airbyte").iterdir()
    said = json.loads(note.read_text())
    assert {name: said[name] for name in ("namespace", "name", "generation_id")} == {
        "namespace": None,
        "name": "한국",
        "generation_id": 3,
    }
    (key,) = folder.files()
    assert note.name.removeprefix("note-").removesuffix(".json") in key


def test_files_whose_note_is_lost_are_left_and_told(
    folder: Any, users: ConfiguredStream, overwrite: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write(users, [{"id": 1}])
    (note,) = (root(folder) / ".airbyte").iterdir()
    note.unlink()
    folder.write(overwrite(users), [{"id": 2}])
    assert folder.rows() == [{"id": 1}, {"id": 2}]
    assert "left where they are" in caplog.text


def test_notes_go_with_their_files(folder: Any, users: ConfiguredStream, overwrite: Any) -> None:
    for number in range(3):
        folder.write(overwrite(users), [{"id": number}])
    assert len(list((root(folder) / ".airbyte").iterdir())) == 1


def test_empty_folders_go_with_the_last_file(folder: Any, users: ConfiguredStream, overwrite: Any) -> None:
    folder.write(users, [{"id": 1}], s3_path_format="${STREAM_NAME}/a/b/")
    folder.write(overwrite(users), s3_path_format="${STREAM_NAME}/a/b/")
    assert not (root(folder) / "users").exists()
