"""Gives its records without their namespace."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.names_streams_as_the_catalog_does"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        super().record({**stream, "namespace": None}, row)


if __name__ == "__main__":
    Broken().main()
