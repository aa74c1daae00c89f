"""Names of objects: Airbyte's patterns, and nothing that a stream's name could do to them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_sdk import StreamName
from destination_s3.config import PATH_VARIABLES
from destination_s3.paths import Names, Run, fingerprint, mark, run_of, safe

RUN = Run(datetime(2021, 3, 4, 5, 6, 7, 89_000, tzinfo=timezone.utc), "0badcafe")
USERS = StreamName("public", "users")
DEFAULT = "${NAMESPACE}/${STREAM_NAME}/${YEAR}_${MONTH}_${DAY}_${EPOCH}_"


def names(
    stream: StreamName = USERS,
    path: str = "data",
    path_format: str = DEFAULT,
    pattern: str = "{part_number}{format_extension}",
    **more: Any,
) -> Names:
    return Names(stream, RUN, path, path_format, pattern, ".jsonl.gz", **more)


def test_the_default() -> None:
    found = names()
    assert found.folder == "data/public/users"
    assert found.object(3) == f"data/public/users/2021_03_04_1614834367089_3-{mark(USERS, RUN.id)}.jsonl.gz"


def test_no_namespace() -> None:
    assert names(StreamName(None, "users")).folder == "data/users"


@pytest.mark.parametrize(
    ("path_format", "expected"),
    [
        ("${YEAR}-${MONTH}-${DAY}/${HOUR}.${MINUTE}.${SECOND}.${MILLISECOND}/", "data/2021-03-04/05.06.07.0089/0-"),
        ("x", "data/x0-"),
        ("/x//y/", "data/x/y/0-"),
        ("${NO_SUCH}/", "data/${NO_SUCH}/0-"),
    ],
)
def test_path_variables(path_format: str, expected: str) -> None:
    assert names(path_format=path_format).object(0).startswith(expected)


@pytest.mark.parametrize("variable", sorted(PATH_VARIABLES))
def test_what_the_config_leaves_alone_is_put_in_place_here(variable: str) -> None:
    """The config takes every other `${…}` for a reference to the environment."""
    key = names(path_format=f"a${{{variable}}}z/").object(0)
    assert "$" not in key
    assert not key.startswith("data/az/")


def test_a_uuid_is_new_each_time() -> None:
    found = names(path_format="${UUID}/")
    assert found.object(0) != found.object(0)


@pytest.mark.parametrize(
    ("pattern", "start", "end"),
    [
        ("{date}{format_extension}", "2021_03_04-", "-0.jsonl.gz"),
        ("{date:yyyy_MM}_{part_number}{format_extension}", "2021_03_0-", ".jsonl.gz"),
        ("{sync_id}.json", "7-", "-0.json"),
        ("{unknown}{format_extension}", "{unknown}-", "-0.jsonl.gz"),
        ("all", "all-", "-0"),
    ],
)
def test_file_variables(pattern: str, start: str, end: str) -> None:
    key = names(path_format="/", pattern=pattern, sync_id=7).object(0)
    assert key.startswith(f"data/{start}")
    assert key.endswith(end)


def test_timestamps_have_their_resolution() -> None:
    def digits(pattern: str) -> int:
        return len(names(path_format="/", pattern=pattern).object(0).removeprefix("data/").split("-")[0])

    assert [digits("{timestamp}"), digits("{timestamp:millis}"), digits("{timestamp:micros}")] == [13, 13, 16]


def test_variables_stand_in_the_bucket_path_too() -> None:
    assert names(path="a/${NAMESPACE}/b", path_format="${STREAM_NAME}/").folder == "a/public/b/users"


def test_the_folder_ends_before_the_first_variable_of_a_run() -> None:
    assert names(path_format="${YEAR}/${STREAM_NAME}/").folder == "data"
    assert names(path_format="${STREAM_NAME}_${EPOCH}_").folder == "data"
    assert names(path="", path_format="${EPOCH}").folder == ""


@pytest.mark.parametrize(
    "variable", ["{date}", "{date:yyyy}", "{timestamp}", "{sync_id}", "{part_number}", "{unknown}"]
)
def test_a_variable_of_the_file_ends_the_folder_as_well(variable: str) -> None:
    assert names(path_format="${STREAM_NAME}/", pattern=f"a/{variable}/b{{format_extension}}").folder == "data/users/a"


def test_safe_keeps_what_airbyte_keeps() -> None:
    kept = "a-b_c.d!*'()&$@=;:+,?/"
    assert safe(kept) == kept
    assert safe("é%\\\n😀") == "e____"


HOSTILE = ["..", ".", "", "/", "//etc/passwd", "../../x", "a/../b", "😀" * 90, "한국어", "x" * 300]
HOSTILE += ["%2e%2e", "\0", "a\nb", ".tmp", "CON", "User", "user", ".airbyte", "a" * 179 + "é" * 20]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("namespace", [None, *HOSTILE])
def test_hostile_names_stay_inside_and_fit(namespace: str | None, name: str) -> None:
    stays_inside(names(StreamName(namespace, name)))


texts = st.text(st.characters(codec="utf-8"))


@given(st.none() | texts, texts, st.text(alphabet="${}/.ab_YEARSTM_N", max_size=30), texts)
def test_any_names_and_patterns_stay_inside_and_fit(
    namespace: str | None, name: str, path_format: str, pattern: str
) -> None:
    stays_inside(names(StreamName(namespace, name), path_format=path_format, pattern=pattern))


def stays_inside(found: Names) -> None:
    for number in (0, 1):
        key = found.object(number)
        parts = key.split("/")
        assert not any(part.startswith(".") or not part for part in parts)
        assert all(len(part.encode()) <= 240 for part in parts)
        assert key.startswith(f"{found.folder}/" if found.folder else "")
        assert run_of(key, found.stream) == RUN.id
    assert found.object(0) != found.object(1)


@given(st.none() | texts, texts, st.none() | texts, texts)
def test_streams_are_told_apart(namespace: str | None, name: str, other_namespace: str | None, other_name: str) -> None:
    one, other = StreamName(namespace, name), StreamName(other_namespace, other_name)
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
    assert (run_of(names(one).object(0), other) is None) == (one != other)


def test_none_is_not_empty_and_parts_do_not_run_together() -> None:
    parts = [(None, "a"), ("", "a"), ("a", ""), ("-", "a"), ("a1:b", "c"), ("a", "1:bc")]
    assert len({fingerprint(StreamName(*part)) for part in parts}) == len(parts)


def test_foreign_keys_bear_no_mark() -> None:
    for key in ("data/public/users/2021_01_01_1234567890_0.csv.gz", "x", "", f"a-{mark(USERS, RUN.id)}/b"):
        assert run_of(key, USERS) is None
