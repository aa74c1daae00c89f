"""Gives rows after its last state."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "state.carries_counts_that_add_up"


class Broken(Source):
    def read_incremental(self, stream: Json, table: Json, state: Json) -> None:
        rows = sorted(self.rows(table), key=lambda row: row["id"])
        for number, row in enumerate(rows):
            if number % 10 == 0:
                self.state(stream, {"cursor": row["changed_at"]} if "changed_at" in row else {})
            self.emit(stream, [row], running=number == 0)


if __name__ == "__main__":
    Broken().main()
