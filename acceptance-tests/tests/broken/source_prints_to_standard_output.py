"""Prints its progress where only messages belong."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "always.standard_output_holds_messages_only"


class Broken(Source):
    def read_full(self, stream: Json, table: Json, state: Json) -> None:
        self.write(f"reading {stream['name']}\n")
        super().read_full(stream, table, state)


if __name__ == "__main__":
    Broken().main()
