"""The ledger of states: ids, counts, answers of all kinds of destinations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airpipe.errors import TransientProblem
from airpipe.states import StateLedger
from airpipe.streams import StreamName, Tally

A, B = StreamName(None, "a"), StreamName("n", "b")


class Setting:
    def __init__(self) -> None:
        self.tallies = {stream: Tally(stream) for stream in (A, B)}
        self.ledger = StateLedger(self.tallies)

    def rows(self, stream: StreamName, count: int) -> None:
        self.tallies[stream].rows += count
        self.tallies[stream].since += count

    def state(self, body: dict[str, Any]) -> dict[str, Any]:
        line = self.ledger.take(json.dumps({"type": "STATE", "state": body}).encode())
        assert line is not None
        found: dict[str, Any] = json.loads(line)
        return found

    def answer(self, message: dict[str, Any], **stats: Any) -> Any:
        if stats:
            message["state"]["destinationStats"] = stats
        return self.ledger.answered(json.dumps(message).encode())


def of(stream: StreamName, value: Any) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": stream.descriptor, "stream_state": value}}


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_each_state_gets_an_id_and_the_counts_that_it_lacks(setting: Setting) -> None:
    setting.rows(A, 3)
    first = setting.state(of(A, {"x": 1}))
    second = setting.state(of(A, {"x": 2}))
    assert (first["state"]["id"], second["state"]["id"]) == (1, 2)
    assert first["state"]["sourceStats"] == {"recordCount": 3.0}
    assert second["state"]["sourceStats"] == {"recordCount": 0.0}


def test_what_is_saved_is_what_the_source_said(setting: Setting) -> None:
    inner = '{"stream_descriptor":{"name":"a"},"stream_state":{"n":1.10,"big":123456789012345678901}}'
    stats = '"sourceStats":{"recordCount":0}'
    text = f'{{"type":"STATE","extra":1,"state":{{"type":"STREAM","stream":{inner},"odd":[1],{stats}}}}}'
    line = setting.ledger.take(text.encode())
    assert line is not None
    answer = json.loads(line)
    answer["state"]["stream"]["stream_state"] = "mangled"
    safe = setting.answer(answer)
    assert b'"n":1.10,"big":123456789012345678901' in safe.state.text
    assert set(json.loads(safe.state.text)) == {"type", "stream", "odd"}


def test_an_answer_covers_what_was_skipped_before_it_of_the_same_stream(setting: Setting) -> None:
    setting.rows(A, 2)
    setting.state(of(A, {"x": 1}))
    setting.rows(B, 5)
    setting.state(of(B, {"x": 1}))
    setting.rows(A, 3)
    last = setting.state(of(A, {"x": 2}))
    safe = setting.answer(last, recordCount=5.0)
    assert safe.problem == ""
    assert (setting.tallies[A].acknowledged, setting.tallies[B].acknowledged) == (5, 0)
    assert [pending.scope for pending in setting.ledger.waiting] == [B]
    assert setting.answer(last) is None


def test_a_global_state_speaks_for_all(setting: Setting) -> None:
    setting.rows(A, 2)
    setting.rows(B, 3)
    body = {"type": "GLOBAL", "global": {"shared_state": {"lsn": 1}, "stream_states": []}}
    message = setting.state(body)
    assert message["state"]["sourceStats"]["recordCount"] == 5.0
    safe = setting.answer(message, recordCount=5)
    assert (safe.state.scope, setting.tallies[B].acknowledged) == (None, 3)
    assert list(setting.ledger.close([])) == []


def test_a_legacy_state_is_kept_as_it_is(setting: Setting) -> None:
    message = setting.state({"data": {"a": {"id": 3}}})
    assert json.loads(setting.answer(message).state.text) == {"data": {"a": {"id": 3}}}


def test_a_destination_that_loses_ids_is_matched_by_content_and_told_once(setting: Setting) -> None:
    setting.state(of(A, {"x": 1}))
    setting.state(of(A, {"x": 2}))
    first = setting.answer({"type": "STATE", "state": {**of(A, {"x": 1, "y": None}), "global": None}})
    second = setting.answer({"type": "STATE", "state": of(A, {"x": 2})})
    assert (first.state.id, second.state.id) == (1, 2)
    assert "stock Airbyte" in first.problem
    assert second.problem == ""


@pytest.mark.parametrize("answer", [{"id": 9}, {"id": 0}, {"id": "1"}, {}])
def test_an_answer_that_was_never_asked_for_is_an_error(setting: Setting, answer: dict[str, Any]) -> None:
    setting.state(of(A, {"x": 1}))
    with pytest.raises(TransientProblem, match="never sent"):
        setting.answer({"type": "STATE", "state": {**of(A, {"x": 7}), **answer}})


def test_lost_and_rejected_rows_are_told_and_counted(setting: Setting) -> None:
    setting.rows(A, 10)
    message = setting.state(of(A, {"x": 1}))
    safe = setting.answer(message, recordCount=6.0, rejectedRecordCount=1.0)
    assert safe.problem == "10 rows of a were sent, the destination counts 6"
    tally = setting.tallies[A]
    assert (tally.acknowledged, tally.rejected, tally.lost) == (6, 1, 3)


def test_a_source_that_counts_wrong_is_told(setting: Setting) -> None:
    setting.rows(A, 2)
    setting.state({**of(A, {}), "sourceStats": {"recordCount": 3}})
    assert setting.ledger.told == ["the source counts 3 rows of a before a state, 2 came"]


def test_streams_without_a_state_are_asked_for_at_the_end_and_not_saved(setting: Setting) -> None:
    setting.rows(A, 4)
    [line] = setting.ledger.close([A])
    safe = setting.answer(json.loads(line), recordCount=4)
    assert safe.state.made_here
    assert setting.tallies[A].acknowledged == 4


def test_a_state_of_a_stream_that_is_not_moved_is_left_out(setting: Setting) -> None:
    message = {"type": "STATE", "state": of(StreamName(None, "other"), {})}
    assert setting.ledger.take(json.dumps(message).encode()) is None
