"""Gives points in time with a zone without it."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.gives_records_that_fit_their_schema"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        own = {"changed_at": row["changed_at"].rstrip("Z")} if "changed_at" in row else {}
        super().record(stream, {**row, **own})


if __name__ == "__main__":
    Broken().main()
