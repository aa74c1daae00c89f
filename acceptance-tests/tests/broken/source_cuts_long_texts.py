"""Cuts texts after 64 KB."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "changes.keep_long_text"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        super().record(
            stream, {name: value[: 1 << 16] if isinstance(value, str) else value for name, value in row.items()}
        )


if __name__ == "__main__":
    Broken().main()
