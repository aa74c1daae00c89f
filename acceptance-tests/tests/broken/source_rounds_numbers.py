"""Reads whole numbers as floats."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "changes.keep_big_numbers"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        super().record(
            stream, {name: int(float(value)) if isinstance(value, int) else value for name, value in row.items()}
        )


if __name__ == "__main__":
    Broken().main()
