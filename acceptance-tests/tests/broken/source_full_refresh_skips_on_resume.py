"""Takes up a full refresh behind rows that it has never given."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "resume.goes_on_from_every_state_of_a_full_refresh"


class Broken(Source):
    def read_full(self, stream: Json, table: Json, state: Json) -> None:
        rows = self.rows(table)[state.get("done", 0) :]
        for number, row in enumerate(rows, 1):
            self.emit(stream, [row], running=number == 1)
            if number % self.every == 0:
                self.state(stream, {"done": number + 2})
        self.state(stream, {})


if __name__ == "__main__":
    Broken().main()
