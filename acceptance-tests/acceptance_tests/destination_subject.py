"""A destination under test: streams of its own for every test, ways to write to it, and a look into its store."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from acceptance_tests.compare import difference
from acceptance_tests.connector import Connector, Said
from acceptance_tests.feed import Feed
from acceptance_tests.hooks import Get, Row
from acceptance_tests.process import Process
from acceptance_tests.protocol import Json, StreamId, configured
from acceptance_tests.subject import TALKATIVE, Subject
from acceptance_tests.suite import Failure, NotApplicable

COLUMNS: Json = {
    "id": {"type": ["null", "integer"]},
    "text": {"type": ["null", "string"]},
    "changed_at": {"type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"},
}


class DestinationSubject(Subject):
    """`get` is the author's way to see what a reader of the store sees."""

    def __init__(self, connector: Connector, get: Get | None = None) -> None:
        super().__init__(connector)
        self._get = get
        self._token = secrets.token_hex(3)
        self._numbers = itertools.count(1)
        self.random = random.Random()

    @property
    def modes(self) -> list[str]:
        found = self.spec.get("supported_destination_sync_modes")
        return found if isinstance(found, list) else []

    def offers(self, mode: str) -> None:
        """Whoever asks for a mode that is not offered is skipped."""
        if mode not in self.modes:
            raise NotApplicable(f"the spec does not offer {mode}")

    @property
    def usual_modes(self) -> list[str]:
        """Those of append, overwrite and append_dedup that it offers."""
        return [mode for mode in ("append", "overwrite", "append_dedup") if mode in self.modes] or [self.any_mode]

    @property
    def any_mode(self) -> str:
        """append, or what comes nearest."""
        return "append" if "append" in self.modes or not self.modes else self.modes[0]

    @property
    def shows_at_once(self) -> bool:
        """Whether rows can be seen before their stream is complete."""
        return self.any_mode != "overwrite"

    # Streams and rows

    def stream(self, columns: Json | None = None, *, name: str = "", namespace: str | None = None) -> Json:
        """A stream that nobody has written to yet, as it stands in a catalog."""
        found: Json = {
            "name": f"{name}acc_{self._token}_{next(self._numbers)}",
            "json_schema": {"type": "object", "properties": COLUMNS if columns is None else columns},
            "supported_sync_modes": ["full_refresh", "incremental"],
        }
        return found if namespace is None else {**found, "namespace": namespace}

    def rows(self, count: int, first: int = 1, text: str = "row") -> list[Json]:
        """Rows with ids from `first` on, for the usual columns."""
        return [
            {
                "id": number,
                "text": f"{text} {number}",
                "changed_at": f"2024-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            }
            for number in range(first, first + count)
        ]

    # Writing

    def start(self, catalog: Sequence[Json], **options: Any) -> Process:
        self.ask("write")
        return self.connector.start("write", config=self.config, catalog={"streams": list(catalog)}, **options)

    def write(self, catalog: Sequence[Json], feed: Feed | bytes, *, good: bool = True) -> Said:
        """Write to the end of the input. `good`: whoever gives no answer to it gives none to any other."""
        process = self.start(catalog)
        process.offer(feed if isinstance(feed, bytes) else feed.text)
        return self.answered("write", self.connector.say(process), good=good)

    def talk(self) -> None:
        super().talk()
        stream = self.stream()
        process = self.start([by_ui(stream, self.any_mode)], environment=TALKATIVE)
        process.offer(Feed().add(id_of(stream), self.rows(3)).state(id_of(stream)).text)
        self.finish("write", process)

    def written(self, catalog: Sequence[Json], feed: Feed, what: str) -> Said:
        """Write, and raise a Failure where that does not end well."""
        said = self.write(catalog, feed)
        if not said.ok or said.transcript.errors:
            raise Failure(f"{what}: exit code 0 and no ERROR", said.story, "the output of `write`")
        return said

    # Looking into the store

    @property
    def can_get(self) -> bool:
        return self._get is not None

    def needs_get(self) -> None:
        if self._get is None:
            raise NotApplicable("needs --get")

    def get(self, stream: StreamId, *, perhaps_none: bool = False) -> list[Row]:
        """What the store holds of a stream. `perhaps_none`: it may be that nobody has made it yet."""
        self.needs_get()
        assert self._get is not None
        try:
            return self._get(stream)
        except Failure:
            if perhaps_none:
                return []
            raise

    def must_hold(
        self, stream: StreamId, rows: Iterable[Json], what: str, look_at: str = "what is written, and when"
    ) -> None:
        """Raise a Failure where the store does not hold exactly these rows."""
        expected = list(rows)
        if unlike := difference(expected, self.get(stream)):
            raise Failure(f"{what}: exactly the {len(expected)} rows that should be there", unlike, look_at)


def id_of(stream: Json) -> StreamId:
    return StreamId(stream.get("namespace"), stream["name"])


# How a catalog arrives, by who sends it


def by_ui(stream: Json, mode: str) -> Json:
    """A connector registered in the UI: no ids, and no status ever comes."""
    return configured(
        stream, "incremental" if mode != "overwrite" else "full_refresh", mode, key=_key(mode), cursor=_cursor(mode)
    )


def by_pyairbyte(stream: Json, mode: str) -> Json:
    """PyAirbyte sends 1/1/1 on every run, whatever the mode."""
    return {**by_ui(stream, mode), "generation_id": 1, "minimum_generation_id": 1, "sync_id": 1}


def by_refresh(stream: Json, mode: str, generation: int, minimum: int) -> Json:
    """The stock platform where it knows that the destination supports refreshes."""
    return {
        **by_ui(stream, mode),
        "generation_id": generation,
        "minimum_generation_id": minimum,
        "sync_id": generation + 40,
    }


def _key(mode: str) -> list[list[str]]:
    return [["id"]] if mode == "append_dedup" else []


def _cursor(mode: str) -> list[str]:
    return ["changed_at"] if mode == "append_dedup" else []
