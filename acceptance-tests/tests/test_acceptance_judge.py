"""The stock platform's rules: each is enforced."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance_tests.feed import Feed
from acceptance_tests.judge import Judge, SyncFailed, Verdict, replicate
from acceptance_tests.process import Process
from acceptance_tests.protocol import StreamId, configured, line, record, stream_state, stream_status

USERS = StreamId("shop", "users")
FIELDS = {"id": {"type": "integer"}, "name": {"type": "string"}}
ENTRY = {"name": "users", "namespace": "shop", "json_schema": {"type": "object", "properties": FIELDS}}


def judge(mode: str = "full_refresh", destination: str = "append", **options: Any) -> Judge:
    return Judge([configured(ENTRY, mode, destination, key=[["id"]])], **options)


def passed_on(one: Judge, *lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(out) for text in lines for out in one.from_source(text)]


def a_good_sync(one: Judge) -> list[dict[str, Any]]:
    """Two records, a state, COMPLETE, an acknowledgement."""
    rows = [record(USERS, {"id": 1, "name": "a"}), record(USERS, {"id": 2, "name": "b"})]
    sent = passed_on(one, stream_status(USERS, "STARTED"), *rows, line(stream_state(USERS, {"c": 1}, 2)))
    return sent + passed_on(one, stream_status(USERS, "COMPLETE"))


def ended(one: Judge, source: int | None = 0, destination: int | None = 0) -> Verdict:
    list(one.source_ended(source))
    return one.destination_ended(destination)


def acknowledge(one: Judge, message: dict[str, Any], **changes: Any) -> None:
    one.from_destination(line({**message, "state": {**message["state"], **changes}}))


def test_a_good_sync_is_accepted() -> None:
    one = judge()
    *rows, state = a_good_sync(one)
    assert [row["record"]["data"]["id"] for row in rows] == [1, 2]
    assert isinstance(state["state"]["id"], int)
    acknowledge(one, state, destinationStats={"recordCount": 2.0})
    verdict = ended(one)
    assert verdict.ok, verdict.failures
    assert verdict.complete == {USERS}
    (saved,) = verdict.states
    assert saved["stream"]["stream_state"] == {"c": 1}


def test_a_state_without_its_id_ends_the_sync() -> None:
    one = judge()
    *_, state = a_good_sync(one)
    del state["state"]["id"]
    with pytest.raises(SyncFailed, match="State message does not contain id"):
        acknowledge(one, state)


def test_a_state_with_another_id_ends_the_sync() -> None:
    one = judge()
    *_, state = a_good_sync(one)
    with pytest.raises(SyncFailed, match="never sent"):
        acknowledge(one, state, id=99)


def test_a_stream_whose_last_state_was_not_acknowledged_is_not_complete() -> None:
    one = judge()
    a_good_sync(one)
    verdict = ended(one)
    assert not verdict.complete
    assert "last STATE was never acknowledged" in verdict.failures[0]


def test_a_stream_that_never_said_complete_is_not_complete() -> None:
    one = judge()
    _, state = passed_on(one, record(USERS, {"id": 1}), line(stream_state(USERS, {}, 1)))
    acknowledge(one, state)
    assert "never said COMPLETE" in ended(one).failures[0]


@pytest.mark.parametrize("stream", [StreamId(None, "users"), StreamId("", "users"), StreamId("shop", "Users")])
def test_a_record_of_a_stream_that_is_not_exactly_there_ends_the_sync(stream: StreamId) -> None:
    with pytest.raises(SyncFailed, match="not exactly"):
        passed_on(judge(), record(stream, {"id": 1}))


def test_a_legacy_state_ends_the_sync() -> None:
    with pytest.raises(SyncFailed, match="LEGACY"):
        passed_on(judge(), line({"type": "STATE", "state": {"data": {}}}))


def test_a_schema_without_properties_ends_the_sync() -> None:
    with pytest.raises(SyncFailed, match="no properties"):
        Judge([configured({**ENTRY, "json_schema": {"type": "object"}})])


def test_a_dedup_record_without_a_key_ends_the_sync() -> None:
    with pytest.raises(SyncFailed, match="primary key null"):
        passed_on(judge("incremental", "append_dedup"), record(USERS, {"id": None, "name": "a"}))


def test_empty_records_are_dropped_and_undeclared_fields_removed() -> None:
    one = judge()
    (sent,) = passed_on(one, record(USERS, {}), record(USERS, {"id": 1, "secret": 2}))
    assert sent["record"]["data"] == {"id": 1}
    assert len(one.verdict.warnings) == 2


def test_an_empty_record_makes_counts_differ() -> None:
    one = judge()
    passed_on(one, record(USERS, {}), line(stream_state(USERS, {}, 1)))
    assert "1 records" in ended(one).failures[0] or "counts 1" in ended(one).failures[0]


def test_counts_of_the_destination_that_differ() -> None:
    one = judge()
    *_, state = a_good_sync(one)
    acknowledge(one, state, destinationStats={"recordCount": 1.0})
    assert "the destination counts 1" in ended(one).failures[0]


def test_rejected_records_count() -> None:
    one = judge()
    *_, state = a_good_sync(one)
    acknowledge(one, state, destinationStats={"recordCount": 1.0, "rejectedRecordCount": 1.0})
    assert ended(one).ok


def test_missing_source_stats_are_filled_in() -> None:
    _, state = passed_on(judge(), record(USERS, {"id": 1}), line(stream_state(USERS, {})))
    assert state["state"]["sourceStats"] == {"recordCount": 1.0}


def test_a_full_refresh_without_a_state_is_given_one() -> None:
    one = judge()
    passed_on(one, record(USERS, {"id": 1}), stream_status(USERS, "COMPLETE"))
    (state,) = [json.loads(text) for text in one.source_ended(0)]
    assert state["state"]["stream"]["stream_state"] == {}
    acknowledge(one, state)
    assert one.destination_ended(0).ok


def test_complete_is_passed_on_at_the_end_and_only_where_refreshes_are_supported() -> None:
    one = judge(refreshes=True)
    assert not [sent for sent in a_good_sync(one) if sent["type"] == "TRACE"]
    (complete,) = [json.loads(text) for text in one.source_ended(0)]
    assert complete["trace"]["stream_status"]["status"] == "COMPLETE"
    failed = judge(refreshes=True)
    a_good_sync(failed)
    assert not list(failed.source_ended(1))


@pytest.mark.parametrize(("source", "destination"), [(1, 0), (0, 1), (None, 0), (0, -9)])
def test_an_exit_code_other_than_0_fails_the_sync(source: int | None, destination: int | None) -> None:
    one = judge()
    *_, state = a_good_sync(one)
    acknowledge(one, state)
    assert not ended(one, source, destination).ok


def test_a_sync_between_two_processes(tmp_path: Path) -> None:
    feed = Feed(with_ids=False).status(USERS, "STARTED")
    for number in range(200):
        feed.add(USERS, [{"id": number, "name": "x" * 1000}]).state(USERS)
    path = tmp_path / "lines"
    path.write_bytes(feed.status(USERS, "COMPLETE").text)
    words = [sys.executable, "-m", "acceptance_tests.stand_in"]
    with (
        Process([*words, "source", str(path)], folder="/") as source,
        Process([*words, "destination"], folder="/", takes_input=True) as destination,
    ):
        verdict = replicate(source, destination, judge(), 20)
    assert verdict.ok, verdict.failures
    assert verdict.read[USERS] == 200
    assert verdict.states[0]["stream"]["stream_state"] == {"cursor": 200}


@pytest.mark.parametrize("script", ["exit 3", "exec <&-; sleep 0.5; exit 3"], ids=["at once", "slowly"])
def test_a_destination_that_ends_early_fails_the_sync(tmp_path: Path, script: str) -> None:
    """Also one that closes its input some time before it ends: its own code is told."""
    feed = Feed(with_ids=False).add(USERS, [{"id": number, "name": "x" * 1000} for number in range(5000)])
    path = tmp_path / "lines"
    path.write_bytes(feed.text)
    words = [sys.executable, "-m", "acceptance_tests.stand_in"]
    with (
        Process([*words, "source", str(path)], folder="/") as source,
        Process(["/bin/sh", "-c", script], folder="/", takes_input=True) as destination,
    ):
        verdict = replicate(source, destination, judge(), 20)
        assert destination.kill().code == 3, "what has ended is not ended again"
    assert not verdict.ok
    assert any("exit code 3" in problem for problem in verdict.failures)
