"""The pump against a plain twin that parses each line, with the same bytes cut anywhere."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airpipe import pump as pumps
from airpipe.alike import alike, in_python
from airpipe.errors import TransientProblem
from airpipe.pump import DestinationGone, Pump
from airpipe.rows import changer
from airpipe.streams import StreamName, Tally

STREAMS = [StreamName("public", "a"), StreamName(None, "a"), StreamName("public", 'ü"b'), StreamName("", "c")]


def record(stream: StreamName, data: str, style: str) -> bytes:
    """A RECORD as several kinds of sources write it."""
    namespace = {} if stream.namespace is None else {"namespace": stream.namespace}
    value = {"text": data}
    body: dict[str, object]
    match style:
        case "ours":
            body = {"stream": stream.name, **namespace, "emitted_at": 1, "data": value}
        case "java":
            body = {"namespace": stream.namespace, "stream": stream.name, "data": value, "emitted_at": 1}
        case "cdk":
            body = {"stream": stream.name, "data": value, "emitted_at": 1, **namespace}
        case _:
            body = {"data": {**value, "stream": "x"}, "emitted_at": 1, **namespace, "stream": stream.name}
    separators = (",", ":") if style != "java" else (", ", ": ")
    return json.dumps({"type": "RECORD", "record": body}, separators=separators, ensure_ascii=False).encode() + b"\n"


lines_of_a_source = st.lists(
    st.one_of(
        st.builds(
            record, st.sampled_from(STREAMS), st.text(max_size=30), st.sampled_from(["ours", "java", "cdk", "odd"])
        ),
        st.sampled_from(
            [b'{"type":"STATE","state":{}}\n', b'{"type":"LOG","log":{}}\n', b"print\n", b"\n", b'{"type":"RECORDS"}\n']
        ),
    ),
    max_size=40,
)


def moved(chunks: Iterable[bytes], tallies: dict[StreamName, Tally]) -> tuple[bytes, list[bytes]]:
    """What comes out of a pump that is fed these chunks, and the lines that it asked about."""
    asked: list[bytes] = []
    source, feed = os.pipe()
    answers, sink = os.pipe()
    out: list[bytes] = []

    def read() -> None:
        with os.fdopen(answers, "rb") as file:
            out.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()

    def hear(line: bytes) -> bytes | None:
        asked.append(line)
        return b"S\n" if b"STATE" in line else None

    pump = Pump(source, sink, tallies, hear)

    def write() -> None:
        for chunk in chunks:
            os.write(feed, chunk)
        os.close(feed)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        pump.run()
    finally:
        os.close(sink)
        os.close(source)
        writer.join()
        reader.join()
    return out[0], asked


def twin(lines: Sequence[bytes]) -> tuple[bytes, list[bytes], dict[StreamName, int]]:
    out, asked, counts = b"", [], dict.fromkeys(STREAMS, 0)
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            message = {}
        if message.get("type") == "RECORD":
            found = message["record"]
            counts[StreamName(found.get("namespace"), found["stream"])] += 1
            out += line
        else:
            asked.append(line)
            out += b"S\n" if b"STATE" in line else b""
    return out, asked, counts


@given(lines_of_a_source, st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_the_same_comes_out_as_of_a_pump_that_parses_everything(lines: list[bytes], size: int) -> None:
    text = b"".join(lines)
    tallies = {stream: Tally(stream) for stream in STREAMS}
    out, asked = moved([text[at : at + size] for at in range(0, len(text), size)], tallies)
    assert (out, asked, {stream: tally.rows for stream, tally in tallies.items()}) == twin(lines)
    size_of_records = sum(len(line) for line in lines if b'"RECORD"' in line)
    assert sum(tally.bytes for tally in tallies.values()) == size_of_records


def plainly(head: bytes, chunk: bytes, beginning: bytes) -> tuple[int, int]:
    lines = chunk.split(b"\n")[:-1]
    whole = [head + line if number == 0 else line for number, line in enumerate(lines)]
    same = all((line + b"\n").startswith(beginning) for line in whole)
    return len(lines) if same else -1, len(chunk) - len(chunk.split(b"\n")[-1])


few = st.text("ab\n", max_size=12).map(str.encode)
letters = st.text("ab", max_size=6).map(str.encode)


@given(letters, few, letters)
@settings(max_examples=500)
def test_blocks_that_begin_alike_are_seen(head: bytes, chunk: bytes, beginning: bytes) -> None:
    expected = plainly(head, chunk, beginning)
    assert in_python(head, chunk, beginning) == expected
    assert alike(head, chunk, beginning) == expected, "the native twin, where it is there"


@pytest.mark.parametrize("chunk", [100, 1 << 16])
def test_a_line_may_be_longer_than_any_chunk(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(pumps, "CHUNK", chunk)
    lines = [record(STREAMS[0], "x" * 300_000, "ours"), record(STREAMS[0], "y", "ours")]
    tallies = {STREAMS[0]: Tally(STREAMS[0])}
    out, _ = moved([b"".join(lines)], tallies)
    assert out == b"".join(lines)
    assert tallies[STREAMS[0]].rows == 2


def test_a_record_that_was_cut_off_is_not_handed_on() -> None:
    whole, cut = record(STREAMS[0], "x", "ours"), record(STREAMS[0], "y", "ours")[:-5]
    tallies = {STREAMS[0]: Tally(STREAMS[0])}
    out, _ = moved([whole + cut], tallies)
    assert out == whole
    assert tallies[STREAMS[0]].rows == 1


@pytest.mark.parametrize("style", ["ours", "java", "cdk", "odd"])
def test_a_stream_that_nobody_asked_for_is_an_error(style: str) -> None:
    for known, other in ((StreamName(None, "a"), StreamName("", "a")), (STREAMS[0], STREAMS[2])):
        with pytest.raises(TransientProblem, match="nobody asked for"):
            moved([record(other, "x", style)], {known: Tally(known)})


def test_fields_are_changed_only_in_the_streams_that_ask_for_it() -> None:
    changed, plain = STREAMS[0], STREAMS[1]
    tallies = {changed: Tally(changed, transform=changer(["text"], {})), plain: Tally(plain)}
    lines = [record(changed, "1", "ours"), record(plain, "2", "ours"), record(changed, "3", "cdk")] * 3
    out, _ = moved([b"".join(lines)], tallies)
    found = [json.loads(line)["record"]["data"] for line in out.splitlines()]
    assert found == [{}, {"text": "2"}, {}] * 3
    assert (tallies[changed].rows, tallies[plain].rows) == (6, 3)


def test_numbers_and_texts_keep_every_character_when_fields_are_renamed() -> None:
    data = '{"a":1.10,"b":123456789012345678901234567890,"c":"\\u00e9\\ud83d\\ude00","d":[1e400]}'
    line = b'{"type":"RECORD","record":{"stream":"a","data":%b,"emitted_at":1}}\n' % data.encode()
    out = changer(["d"], {"a": "x"})(line)
    assert b'{"x":1.10,"b":123456789012345678901234567890,"c":"\\u00e9\\ud83d\\ude00"}' in out


def test_losses_are_named_by_the_new_names() -> None:
    meta = {"changes": [{"field": "a", "change": "NULLED"}, {"field": "b", "change": "NULLED"}]}
    line = json.dumps({"type": "RECORD", "record": {"stream": "s", "data": {}, "meta": meta}}).encode()
    out = json.loads(changer(["b"], {"a": "x"})(line))
    assert out["record"]["meta"]["changes"] == [{"field": "x", "change": "NULLED"}]


def test_a_destination_that_is_gone_is_told() -> None:
    source, feed = os.pipe()
    answers, sink = os.pipe()
    os.close(answers)
    os.write(feed, record(STREAMS[0], "x", "ours"))
    with pytest.raises(DestinationGone):
        Pump(source, sink, {STREAMS[0]: Tally(STREAMS[0])}, lambda line: None).run()
    for descriptor in (source, feed, sink):
        os.close(descriptor)
