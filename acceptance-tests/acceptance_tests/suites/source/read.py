"""read: whole streams, records as their schema says, statuses in order."""

from __future__ import annotations

from collections import Counter

from acceptance_tests.compare import difference
from acceptance_tests.protocol import Json, StreamId, configured, now
from acceptance_tests.reading import Reading, lacking, named
from acceptance_tests.rows import at
from acceptance_tests.source_subject import FULL, SourceSubject
from acceptance_tests.suite import NotApplicable, Register, behaviours, expect, some
from acceptance_tests.validation import mistakes

ALL: Register = []
behaviour = behaviours(ALL, "read")

RECORDS = "the RECORD messages of `read`"
DAY = 24 * 3600 * 1000


def status_mistakes(reading: Reading) -> list[str]:
    """Where the statuses of a finished, successful read are not STARTED, RUNNING (if there are records), COMPLETE."""
    wrong = []
    lines: dict[StreamId, list[int]] = {}
    for record in reading.records:
        lines.setdefault(record.stream, []).append(record.number)
    for stream in reading.streams:
        found = reading.statuses.get(stream.id, [])
        words = [status for _, status in found]
        mine = lines.get(stream.id, [])
        if words[:1] != ["STARTED"] or words[-1:] != ["COMPLETE"] or set(words[1:-1]) - {"RUNNING"}:
            wrong.append(f"{stream.id}: {' '.join(words) or 'no status at all'}")
        elif mine and found[0][0] > mine[0]:
            wrong.append(f"{stream.id}: STARTED comes after the first record")
        elif mine and found[-1][0] < mine[-1]:
            wrong.append(f"{stream.id}: COMPLETE comes before the last record")
        elif mine and "RUNNING" not in words:
            wrong.append(f"{stream.id}: no RUNNING, though there are records")
    return wrong


@behaviour
def ends_well(subject: SourceSubject) -> None:
    """Reading all streams ends with 0 and without an ERROR, and gives at least one record."""
    reading = subject.whole
    expect(
        reading.ok and not reading.said.transcript.errors,
        "exit code 0 and no ERROR",
        reading.said.story,
        "the output of `read`",
    )
    expect(reading.records, "records", "none in any stream", "whether the config leads to any data")


@behaviour
def says_started_running_complete(subject: SourceSubject) -> None:
    """Every selected stream, also an empty one, says STARTED, then RUNNING where it has records, and COMPLETE last."""
    wrong = status_mistakes(subject.full)
    expect(not wrong, "STARTED, RUNNING, COMPLETE for each stream", some(wrong), "the STREAM_STATUS traces of `read`")


@behaviour
def names_streams_as_the_catalog_does(subject: SourceSubject) -> None:
    """Records carry exactly the name and the namespace of the catalog: the platform takes no others."""
    known = {stream.id for stream in subject.full.streams}
    found = Counter(record.stream for record in subject.full.records if record.stream not in known)
    wrong = [f"{count} records of {tuple(one)}" for one, count in found.items()]
    expect(not wrong, f"one of {some(map(tuple, known))}", some(wrong), RECORDS)


@behaviour
def gives_records_that_fit_their_schema(subject: SourceSubject) -> None:
    """Every record is valid by its stream's schema."""
    wrong = []
    for stream in subject.full.streams:
        wrong += [f"{stream.id}: {mistake}" for mistake in mistakes(stream.schema, subject.full.by_stream[stream.id])]
    expect(not wrong, "valid records", some(wrong), "the types that `discover` gives, or the values")


@behaviour
def gives_declared_fields_only(subject: SourceSubject) -> None:
    """Records have no top-level field that the schema lacks: the platform takes it out, and its data is lost."""
    wrong = []
    for stream in subject.full.streams:
        extra = Counter(key for row in subject.full.by_stream[stream.id] for key in row if key not in stream.fields)
        wrong += [f"{stream.id}.{name} in {count} records" for name, count in extra.items()]
    expect(not wrong, "fields of the schema", some(wrong), "the schemas of `discover`")


@behaviour
def gives_no_empty_record(subject: SourceSubject) -> None:
    """No record is `{}`: the platform drops it, and its counts no longer add up."""
    empty = Counter(str(record.stream) for record in subject.full.records if not record.data)
    expect(not empty, "records with fields", some(f"{count} of {name}" for name, count in empty.items()), RECORDS)


@behaviour
def says_when_records_were_read(subject: SourceSubject) -> None:
    """`emitted_at` is the time of reading, in milliseconds."""
    wrong = [record.body.get("emitted_at") for record in subject.full.records]
    wrong = [when for when in wrong if not isinstance(when, int) or abs(when - now()) > DAY]
    expect(not wrong, f"about {now()}", some(wrong, 3), RECORDS)


@behaviour
def fills_the_primary_key(subject: SourceSubject) -> None:
    """Every part of the primary key has a value in every record, and one full read has no key twice."""
    wrong = []
    for stream in subject.full.streams:
        rows = subject.full.by_stream[stream.id]
        for path in stream.key:
            nulls = sum(1 for row in rows if at(row, path) is None)
            wrong += [f"{stream.id}: {'.'.join(path)} is null in {nulls} records"] if nulls else []
        if stream.key:
            twice = [key for key, count in Counter(subject.identities(stream, rows)).items() if count > 1]
            wrong += [f"{stream.id}: {len(twice)} keys come twice, such as {_key(twice[0])}"] if twice else []
    expect(not wrong, "keys with values, each once", some(wrong), RECORDS)


def _key(key: object) -> str:
    return str(key)[:120]


@behaviour
def gives_the_same_twice(subject: SourceSubject) -> None:
    """Two full reads, one after the other, give the same rows."""
    again = subject.full_again
    wrong = []
    for stream in subject.full.streams:
        first, second = subject.full.by_stream[stream.id], again.by_stream[stream.id]
        lost = lacking(stream, first, second) if stream.key or subject.can_put else _fewer(first, second)
        if lost:
            wrong.append(f"{stream.id}: {len(lost)} of {len(first)} rows are gone, such as {named(stream, lost[0])}")
        elif subject.can_put and (unlike := difference(first, second)):
            wrong.append(f"{stream.id}: {unlike}")
    expect(not wrong, "the same rows", some(wrong), "two runs of `read` with the same catalog and no state")


def _fewer(first: list[Json], second: list[Json]) -> list[Json]:
    """A system that nobody holds still may have new rows, but not fewer."""
    return first[len(second) :]


@behaviour
def keeps_to_the_selected_streams(subject: SourceSubject) -> None:
    """With one stream in the catalog, nothing is said of the others."""
    if len(subject.streams) < 2:
        raise NotApplicable("there is only one stream")
    chosen = next((one for one in subject.full.streams if subject.full.by_stream[one.id]), subject.streams[0])
    reading = subject.read(subject.catalog(FULL, [chosen]))
    others = {one for one in (*reading.by_stream, *reading.statuses) if one != chosen.id}
    others |= {state.stream for state in reading.states if state.stream not in (None, chosen.id)}
    expect(not others, f"messages of {chosen.id} only", f"some of {some(map(str, others))}", "how the catalog is read")
    lost = lacking(chosen, subject.full.by_stream[chosen.id], reading.by_stream[chosen.id])
    expect(
        not lost, f"all of {chosen.id}", f"{len(lost)} rows fewer than together with others", "how the catalog is read"
    )


@behaviour
def completes_empty_streams(subject: SourceSubject) -> None:
    """A stream without rows says STARTED and COMPLETE, as any other."""
    empty = [stream for stream in subject.full.streams if not subject.full.by_stream[stream.id]]
    if not empty:
        raise NotApplicable("no stream is empty")
    wrong = [text for text in status_mistakes(subject.full) if any(text.startswith(f"{one.id}:") for one in empty)]
    expect(not wrong, "STARTED, COMPLETE", some(wrong), "the STREAM_STATUS traces of `read`")


@behaviour
def tells_of_a_stream_that_it_does_not_have(subject: SourceSubject) -> None:
    """A catalog with a stream that does not exist ends non-zero with an ERROR, and never calls that stream COMPLETE."""
    stranger: Json = {
        "name": "acceptance_no_such_stream",
        "json_schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "supported_sync_modes": ["full_refresh"],
    }
    real = subject.streams[0]
    if real.id.namespace is not None:
        stranger["namespace"] = real.id.namespace
    catalog = [configured(stranger), *subject.catalog(FULL, [real])]
    reading = subject.read(catalog)
    status = reading.last_status(StreamId(stranger.get("namespace"), stranger["name"]))
    seen = f"{reading.said.story}; its last status is {status}, {len(reading.said.transcript.errors)} ERRORs"
    expect(
        not reading.ok and reading.said.transcript.errors,
        "a non-zero exit code and an ERROR trace",
        seen,
        "how the catalog is read",
    )
    expect(status != "COMPLETE", "no COMPLETE for it", "COMPLETE", "how the catalog is read")


@behaviour
def tells_streams_apart_by_their_namespace(subject: SourceSubject) -> None:
    """A stream of the catalog with a right name in a namespace that does not exist is not taken for the real one."""
    real = next((stream for stream in subject.full.streams if stream.id.namespace is not None), None)
    if real is None:
        raise NotApplicable("no stream has a namespace")
    stranger = StreamId("acceptance_no_such_namespace", real.id.name)
    reading = subject.read([configured({**real.entry, "namespace": stranger.namespace})])
    status = reading.last_status(stranger)
    expect(not reading.records, f"no record for {stranger}", f"{len(reading.records)} records", "how streams are found")
    expect(status != "COMPLETE", "no COMPLETE for it", "COMPLETE", "how streams are found")


@behaviour
def gives_as_much_incrementally(subject: SourceSubject) -> None:
    """An incremental read from nothing gives every row of a full refresh that has a cursor."""
    wrong = []
    for stream in subject.incremental.streams:
        cursor = subject.cursor(stream)
        rows = [row for row in subject.full.by_stream[stream.id] if not cursor or at(row, cursor) is not None]
        if not stream.key or not (lost := lacking(stream, rows, subject.incremental.by_stream[stream.id])):
            continue
        if not lacking(stream, lost, subject.full_again.by_stream[stream.id]):
            wrong.append(f"{stream.id}: {len(lost)} of {len(rows)} missing, such as {named(stream, lost[0])}")
    expect(not wrong, "the rows of a full refresh", some(wrong), "where an incremental read begins and ends")


@behaviour
def fails_where_the_other_side_cannot_be_reached(subject: SourceSubject) -> None:
    """With every host, port and path leading nowhere, `read` ends non-zero with an ERROR and completes nothing."""
    from acceptance_tests.wrong_configs import unreachable

    config = unreachable(subject.form, subject.config)
    if config is None:
        raise NotApplicable("the config names no host, address or path")
    catalog = subject.catalog(FULL)
    process = subject.connector.start("read", config=config, catalog={"streams": catalog})
    said = subject.answered("read", subject.connector.say(process), good=False)
    reading = subject.reading(catalog, said)
    expect(not reading.ok, "a non-zero exit code", said.story, "errors that are swallowed")
    expect(said.transcript.errors, "an ERROR trace", said.story, "errors that never become a TRACE")
    done = [str(one) for one in reading.statuses if reading.last_status(one) == "COMPLETE"]
    expect(not done, "no stream COMPLETE", f"COMPLETE for {some(done)}", "errors that are swallowed")
