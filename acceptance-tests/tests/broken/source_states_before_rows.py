"""Names a row in its state before it has given it."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "resume.goes_on_from_every_state_of_an_incremental_read"


class Broken(Source):
    def read_incremental(self, stream: Json, table: Json, state: Json) -> None:
        rows = sorted(self.rows(table), key=lambda row: row["id"])
        rows = [row for row in rows if row["id"] > state.get("cursor", 0)]
        for number, row in enumerate(rows, 1):
            if number % self.every == 0:
                self.state(stream, {"cursor": row["id"]})
            self.emit(stream, [row], running=number == 1)
        self.state(stream, {"cursor": rows[-1]["id"]} if rows else state)


if __name__ == "__main__":
    Broken().main()
