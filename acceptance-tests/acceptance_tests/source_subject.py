"""A source under test: its catalog, its reads, and a system that rows can be put into where there is a hook."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from acceptance_tests.compare import difference
from acceptance_tests.connector import Connector, Said
from acceptance_tests.hooks import Put
from acceptance_tests.process import Process
from acceptance_tests.protocol import Json, Stream, StreamId, configured
from acceptance_tests.reading import Reading, identity
from acceptance_tests.rows import above, at, place, schema_at, types, value
from acceptance_tests.subject import TALKATIVE, Subject
from acceptance_tests.suite import Failure, NotApplicable

PATIENCE = 60.0
"""Seconds that a behaviour may spend on reads of one kind."""
SMALL_PIPE = 4096
UNHURRIED = 4.0
"""Seconds that a slow reader takes for all that there is."""
FULL, INCREMENTAL = "full_refresh", "incremental"
CURSOR_WORDS = (
    "updated_at",
    "modified_at",
    "last_modified",
    "updated",
    "modified",
    "cursor",
    "created_at",
    "timestamp",
)


class SourceSubject(Subject):
    """`put` is the author's way to put rows into the system."""

    def __init__(self, connector: Connector, put: Put | None = None) -> None:
        super().__init__(connector)
        self._put = put
        self._steps = itertools.count(1)
        self.random = random.Random()

    # What there is

    @cached_property
    def discovered(self) -> Said:
        """The first `discover`."""
        return self.discover()

    @cached_property
    def streams(self) -> list[Stream]:
        """The discovered streams."""
        said = self.discovered
        found = said.transcript.of("CATALOG")
        if not found or not isinstance(found[0].body.get("streams"), list):
            raise NotApplicable(f"discover gave no catalog: {said.story}")
        streams = [Stream(entry) for entry in found[0].body["streams"] if isinstance(entry, dict) and entry.get("name")]
        if not streams:
            raise NotApplicable("discover shows no stream")
        return streams

    def stream(self, stream: StreamId) -> Stream:
        return next(one for one in self.streams if one.id == stream)

    @cached_property
    def whole(self) -> Reading:
        """The first read of all streams, however it went."""
        return self.read(self.catalog(FULL))

    @cached_property
    def full(self) -> Reading:
        """All streams, read whole (those that cannot be: incrementally, from nothing)."""
        reading = self.whole
        if not reading.ok or not any(reading.by_stream.values()):
            raise NotApplicable(f"read gave nothing to go on: {reading.said.story}")
        return reading

    @cached_property
    def incremental(self) -> Reading:
        """All streams that can be, read incrementally from nothing: slowly, since some give a STATE every so often."""
        if not self.growing:
            raise NotApplicable(
                "no stream offers incremental with a cursor that is known (--cursor STREAM=FIELD names one)"
            )
        catalog = self.catalog(INCREMENTAL, self.growing)
        pace = self.pace  # It takes a read of its own, and a source may refuse two at once.
        process = self.start(catalog, pipe_size=SMALL_PIPE)
        process.read_at(pace, lambda: False, min(self.timeout, 2 * UNHURRIED))
        reading = self.reading(catalog, self.finish("read", process))
        if not reading.ok:
            raise NotApplicable(f"read gave nothing to go on: {reading.said.story}")
        return reading

    def affordable(self, most: int) -> int:
        """How many reads a behaviour may take: `most`, or fewer where one takes seconds."""
        return max(3, min(most, int(PATIENCE / max(0.01, self.full.said.run.seconds))))

    @cached_property
    def full_again(self) -> Reading:
        """The same once more: what is in both was there all the time."""
        return self.read(self.catalog(FULL))

    def same_rows_again(self, stream: Stream) -> bool:
        """Whether a second full read gives the same rows of this stream, value by value."""
        first, second = self.full.by_stream.get(stream.id, []), self.full_again.by_stream.get(stream.id, [])
        return difference(first, second) is None

    @property
    def pace(self) -> float:
        """Bytes a second with which a large read takes some seconds, and a small one no time."""
        return max(1 << 18, sum(map(len, self.full.said.run.lines)) / UNHURRIED)

    @cached_property
    def growing(self) -> list[Stream]:
        """The streams that can be read incrementally."""
        return [stream for stream in self.streams if INCREMENTAL in stream.modes and self.cursor(stream) is not None]

    def cursor(self, stream: Stream) -> list[str] | None:
        """The cursor field to ask for: empty where the source brings its own, None where nobody knows one."""
        named = self.connector.cursors.get(stream.id.name) or self.connector.cursors.get(str(stream.id))
        if named:
            return [named]
        if stream.cursor or stream.entry.get("source_defined_cursor"):
            return stream.cursor
        return self._likely_cursor(stream)

    def _likely_cursor(self, stream: Stream) -> list[str] | None:
        by_name = sorted(
            (CURSOR_WORDS.index(name.lower()), name) for name in stream.fields if name.lower() in CURSOR_WORDS
        )
        keys = [path[0] for path in stream.key if len(path) == 1 and "integer" in types(schema_at(stream.fields, path))]
        names = [name for _, name in by_name] + (keys if len(stream.key) == 1 else [])
        return [names[0]] if names else None

    # Reading

    def catalog(self, mode: str, streams: Sequence[Stream] | None = None) -> list[Json]:
        """A configured catalog that reads these streams in this mode, as far as they offer it."""
        return [self._entry(stream, mode) for stream in (self.streams if streams is None else streams)]

    def _entry(self, stream: Stream, mode: str) -> Json:
        offered = mode if mode in stream.modes or not stream.modes else stream.modes[0]
        cursor = (self.cursor(stream) or []) if offered == INCREMENTAL else []
        return configured(stream.entry, offered, "append", cursor=cursor, key=stream.key)

    def start(self, catalog: list[Json], state: Any = None, **options: Any) -> Process:
        self.ask("read")
        return self.connector.start("read", config=self.config, catalog={"streams": catalog}, state=state, **options)

    def read(self, catalog: list[Json], state: Any = None, **options: Any) -> Reading:
        """Read to the end."""
        return self.reading(catalog, self.finish("read", self.start(catalog, state, **options)))

    def talk(self) -> None:
        super().talk()
        self.read(self.catalog(FULL, self.streams[:3]), environment=TALKATIVE)

    def reading(self, catalog: list[Json], said: Any) -> Reading:
        streams = [Stream(entry["stream"]) for entry in catalog]
        return Reading(said, streams, {one.id: entry["sync_mode"] for one, entry in zip(streams, catalog, strict=True)})

    # Rows of our own

    @property
    def can_put(self) -> bool:
        return self._put is not None

    def put(self, stream: Stream, rows: Sequence[Json], delete: Sequence[Json] = ()) -> None:
        if self._put is None:
            raise NotApplicable("needs --put")
        self._put(stream.id, rows, delete)

    def writable(self, *, incremental: bool) -> Stream:
        """The stream that rows are put into: one with a key, so that they can be taken away again."""
        if self._put is None:
            raise NotApplicable("needs --put")
        offered = self.growing if incremental else self.streams
        if not offered:
            raise NotApplicable("no stream offers incremental")
        return max(offered, key=lambda stream: (bool(stream.key), bool(self.full.by_stream.get(stream.id))))

    def keys(self, stream: Stream, rows: Iterable[Json]) -> list[Json]:
        """Of each row only what its key is made of."""
        return [{path[0]: row.get(path[0]) for path in stream.key} for row in rows]

    def new_rows(self, stream: Stream, count: int, *, tied: bool = False) -> list[Json]:
        """Rows with keys that are not there and cursors above all that are there, rising, or all the same if `tied`."""
        there = self.full.by_stream.get(stream.id) or []
        template = max(there, key=len) if there else None
        steps = [next(self._steps) for _ in range(count)]
        cursor = self.cursor(stream) or []
        return [self._new_row(stream, there, template, step, steps[0] if tied else step, cursor) for step in steps]

    def _new_row(
        self, stream: Stream, there: Sequence[Json], template: Json | None, step: int, at_cursor: int, cursor: list[str]
    ) -> Json:
        row = dict(template) if template else {name: value(schema, step) for name, schema in stream.fields.items()}
        for path in self._key_part(stream):
            schema = schema_at(stream.fields, path)
            place(row, path, above((at(other, path) for other in there), step, schema))
        if cursor and cursor in [[name] for name in stream.fields] and cursor not in stream.key:
            schema = schema_at(stream.fields, cursor)
            place(row, cursor, above((at(other, cursor) for other in there), at_cursor, schema))
        return row

    def _key_part(self, stream: Stream) -> list[list[str]]:
        """The one part of the key that is made new: a whole number where there is one, else the last."""
        if not stream.key:
            return []
        whole = [path for path in stream.key if "integer" in types(schema_at(stream.fields, path))]
        return [(whole or stream.key)[-1]]

    def identities(self, stream: Stream, rows: Iterable[Json]) -> list[Any]:
        of = identity(stream)
        return [of(row) for row in rows]


def must_be_there(stream: Stream, absent: Sequence[Json], what: str, named: str, look_at: str) -> None:
    """Raise a Failure that names the rows which should have come."""
    if absent:
        raise Failure(what, f"{len(absent)} of {stream.id} missing, such as {named}", look_at)
