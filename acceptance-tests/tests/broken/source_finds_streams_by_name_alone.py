"""Takes a stream of another namespace for its own."""

from __future__ import annotations

from collections.abc import Iterator

from good_source import Json, Source

CAUGHT_BY = "read.tells_streams_apart_by_their_namespace"


class Broken(Source):
    def selected(self, catalog: Json, tables: dict[str, Json]) -> Iterator[tuple[Json, Json]]:
        for configured in catalog["streams"]:
            yield configured, tables[configured["stream"]["name"]]


if __name__ == "__main__":
    Broken().main()
