"""What is removed, and when: never before all that is new is there, and never what belongs to another stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from connector_sdk import ConfiguredStream, Replace, StreamName
from destination_s3.paths import Run
from destination_s3.write import names_of, open_stream

Overwrite = Callable[[ConfiguredStream], ConfiguredStream]
SCHEMA = {"properties": {"id": {"type": "integer"}}}


def generation(stream: ConfiguredStream, number: int, minimum: int) -> ConfiguredStream:
    kind = Replace.OLDER_GENERATIONS if minimum else Replace.NOTHING
    return replace(stream, generation_id=number, minimum_generation_id=minimum, replace=kind)


def test_append_keeps_all(place: Any, users: ConfiguredStream) -> None:
    place.write(users, [{"id": 1}], [{"id": 2}])
    place.write(users, [{"id": 3}])
    assert place.rows() == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert len(place.files()) == 2


def test_overwrite_leaves_only_what_it_wrote(place: Any, users: ConfiguredStream, overwrite: Overwrite) -> None:
    place.write(users, [{"id": 1}])
    place.write(overwrite(users), [{"id": 2}])
    place.write(overwrite(users), [{"id": 3}])
    assert place.rows() == [{"id": 3}]


@pytest.mark.parametrize("variable", ["{date}", "{date:yyyy}", "{timestamp}", "{sync_id}"])
def test_older_files_in_another_folder_of_the_stream_go(
    place: Any, users: ConfiguredStream, overwrite: Overwrite, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is named for a day, a moment or a run that is over."""
    pattern = {"s3_path_format": "${STREAM_NAME}/", "file_name_pattern": f"{variable}/{{part_number}}"}
    earlier = datetime(2021, 3, 4, tzinfo=timezone.utc)
    with monkeypatch.context() as patch:
        patch.setattr("destination_s3.write.Run", lambda time=earlier: Run(time))
        place.write(replace(users, sync_id=1), [{"id": 1}], **pattern)
    place.write(replace(overwrite(users), sync_id=2), [{"id": 2}], **pattern)
    assert place.rows() == [{"id": 2}]


def test_a_stream_that_comes_again_in_one_run(place: Any, users: ConfiguredStream, overwrite: Overwrite) -> None:
    """As the output of one source after that of another: the second run writes over no file of the first."""
    config = place.config()
    for stream, expected in ((users, [1, 2]), (overwrite(users), [2])):
        for number in (1, 2):
            with open_stream(config, stream) as store:
                store.write(_batch(users, number))
                store.commit()
        assert place.rows() == [{"id": number} for number in expected]


def test_the_old_files_stand_until_all_is_complete(place: Any, users: ConfiguredStream, overwrite: Overwrite) -> None:
    place.write(users, [{"id": 1}])
    with open_stream(place.config(), overwrite(users)) as store:
        store.write(_batch(users, 2))
        assert place.rows() == [{"id": 1}]
        store.commit()
        assert place.rows() == [{"id": 1}, {"id": 2}]
    assert place.rows() == [{"id": 2}]


def _batch(stream: ConfiguredStream, number: int) -> Any:
    from array import array

    from connector_sdk import Batch, Block

    return Batch(stream, [Block(stream.id, json.dumps({"id": number}).encode() + b"\n", array("q", [0]), {})])


def test_an_incomplete_overwrite_removes_nothing(place: Any, users: ConfiguredStream, overwrite: Overwrite) -> None:
    place.write(users, [{"id": 1}])
    place.write_incomplete(overwrite(users), [{"id": 2}])
    assert place.rows() == [{"id": 1}, {"id": 2}]
    place.write(overwrite(users), [{"id": 3}])
    assert place.rows() == [{"id": 3}]


def test_rows_that_were_never_committed_are_never_seen(place: Any, users: ConfiguredStream) -> None:
    with pytest.raises(RuntimeError), open_stream(place.config(), users) as store:
        store.write(_batch(users, 1))
        raise RuntimeError
    assert place.files() == {}
    assert place.unfinished() == []


def test_an_empty_complete_stream_replaces_by_nothing(
    place: Any, users: ConfiguredStream, overwrite: Overwrite
) -> None:
    place.write(users, [{"id": 1}])
    place.write(overwrite(users))
    assert place.files() == {}


def test_an_empty_append_writes_nothing(place: Any, users: ConfiguredStream) -> None:
    place.write(users)
    assert place.files() == {}


def test_generations(place: Any, users: ConfiguredStream) -> None:
    place.write(users, [{"id": 0}])  # before there were generations
    place.write(generation(users, 1, 0), [{"id": 1}])
    place.write_incomplete(generation(users, 2, 2), [{"id": 2}])
    assert [row["id"] for row in place.rows()] == [0, 1, 2]
    place.write(generation(users, 2, 2), [{"id": 3}])  # the next attempt goes on
    assert [row["id"] for row in place.rows()] == [2, 3]
    place.write(generation(users, 2, 0), [{"id": 4}])
    assert [row["id"] for row in place.rows()] == [2, 3, 4]


OTHERS = [
    StreamName("public", "user"),
    StreamName("public", "users2"),
    StreamName("public", "Users"),
    StreamName(None, "users"),
    StreamName("", "users"),
    StreamName("public/users", ""),
    StreamName(None, "public/users"),
    StreamName("public", "users/"),
]


@pytest.mark.parametrize(
    "path_format", ["${NAMESPACE}/${STREAM_NAME}/", "${NAMESPACE}/${STREAM_NAME}", "all/", "${YEAR}/"]
)
def test_other_streams_are_left_alone(
    place: Any, users: ConfiguredStream, overwrite: Overwrite, path_format: str
) -> None:
    for number, (namespace, name) in enumerate(OTHERS):
        place.write(ConfiguredStream(name, namespace), [{"id": number}], s3_path_format=path_format)
    place.write(users, [{"id": 100}], s3_path_format=path_format)
    place.write(overwrite(users), [{"id": 101}], s3_path_format=path_format)
    assert sorted(row["id"] for row in place.rows()) == [*range(len(OTHERS)), 101]
    for namespace, name in OTHERS:
        place.write(overwrite(ConfiguredStream(name, namespace)), s3_path_format=path_format)
    assert place.rows() == [{"id": 101}]


HOSTILE = [
    "../../etc",
    "😀" * 60,
    "x" * 300,
    "a/b",
    "100%",
    "..",
    "",
    "한국어",
    "a\nb",
    "a\0b",
    "User",
    "user",
    "$'\"`;",
    " ",
]


def test_hostile_names(place: Any, overwrite: Overwrite) -> None:
    for number, name in enumerate(HOSTILE):
        for namespace in (None, name):
            stream = ConfiguredStream(name, namespace, schema=SCHEMA)
            place.write(stream, [{"id": -1}])
            place.write(overwrite(stream), [{"id": number}])
    assert sorted(row["id"] for row in place.rows()) == sorted([*range(len(HOSTILE))] * 2)


def test_files_of_others_are_never_touched(place: Any, users: ConfiguredStream, overwrite: Overwrite) -> None:
    """What Airbyte's own destination, or a person, put there says nothing of a stream, so it is not ours to remove."""
    folder = names_of(place.config(), users.id, Run()).folder
    upload = _foreign(place, f"{folder}/2021_01_01_1234567890_0.jsonl")
    place.write(overwrite(users), [{"id": 1}])
    assert upload in place.files()
    assert len(place.files()) == 2


def _foreign(place: Any, key: str) -> str:
    if place.kind == "s3":
        from destination_s3.s3 import Bucket

        Bucket(place.config()).client.put_object(Bucket=place.options["bucket"], Key=key, Body=b"")
    else:
        from destination_s3.folder import folder_of

        path = folder_of(place.options["bucket"]) / key
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    return key


@pytest.mark.parametrize("pattern", ["same{format_extension}", "{part_number}{format_extension}", "{date}.json"])
def test_no_run_writes_over_the_files_of_another(place: Any, users: ConfiguredStream, pattern: str) -> None:
    for number in range(3):
        place.write(users, [{"id": number}], s3_path_format="${STREAM_NAME}/", file_name_pattern=pattern)
    assert [row["id"] for row in place.rows()] == [0, 1, 2]


def test_names_that_become_the_same_share_no_file(place: Any) -> None:
    config = place.config(s3_path_format="${STREAM_NAME}/", file_name_pattern="x{format_extension}")
    for number, name in enumerate(["é", "e", "한", "글"]):
        stream = ConfiguredStream(name)
        with open_stream(config, stream) as store:  # One run: one time, one run id.
            store.write(_batch(stream, number))
            store.commit()
    assert [row["id"] for row in place.rows()] == [0, 1, 2, 3]


def test_a_field_that_the_schema_lacks_begins_a_file_with_a_column_for_it(
    place: Any, users: ConfiguredStream, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(users, [{"id": 1}], [{"id": 2, "extra": [1.0]}], [{"id": 3}], format="csv")
    first, second = (content.decode().splitlines() for _, content in sorted(place.files().items()))
    assert first == ["id", "1"]
    assert second == ["id,_airbyte_additional_properties", '2,"{""extra"":[1.0]}"', "3,"]
    assert "fields without a column of their own: extra" in caplog.text


def test_files_roll_by_size(place: Any, users: ConfiguredStream) -> None:
    with open_stream(place.config(file_size_mb=1), users) as store:
        for number in range(30):
            store.write(_big(users, number))
            if store.full:
                store.commit()
        store.commit()
    sizes = [len(content) for content in place.files().values()]
    assert len(sizes) == 3
    assert max(sizes) < 1.2 * (1 << 20)
    assert len(place.rows()) == 30


def _big(stream: ConfiguredStream, number: int) -> Any:
    from array import array

    from connector_sdk import Batch, Block

    line = json.dumps({"id": number, "text": "x" * 100_000}).encode() + b"\n"
    return Batch(stream, [Block(stream.id, line, array("q", [0]), {})])


def test_check_passes_and_leaves_nothing(place: Any) -> None:
    from destination_s3.write import check

    check(place.config(path="a/b"))
    assert place.files() == {}
    assert place.unfinished() == []
