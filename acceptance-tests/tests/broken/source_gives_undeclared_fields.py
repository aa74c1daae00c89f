"""Gives a field that its schema does not have."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.gives_declared_fields_only"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        super().record(stream, {**row, "_extra": 1})


if __name__ == "__main__":
    Broken().main()
