"""Gives text where its schema says whole numbers."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.gives_records_that_fit_their_schema"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        super().record(stream, {name: str(value) for name, value in row.items()})


if __name__ == "__main__":
    Broken().main()
