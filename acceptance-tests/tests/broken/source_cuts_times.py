"""Gives points in time without their seconds."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "changes.are_read_as_they_were_put"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        cut = {"changed_at": row["changed_at"][:17] + "00Z"} if "changed_at" in row else {}
        super().record(stream, {**row, **cut})


if __name__ == "__main__":
    Broken().main()
