"""Replaces every character that ASCII lacks."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "changes.keep_text_of_any_alphabet"


class Broken(Source):
    def record(self, stream: Json, row: Json) -> None:
        texts = {name: value for name, value in row.items() if isinstance(value, str)}
        ascii_only = {name: text.encode("ascii", "replace").decode() for name, text in texts.items()}
        super().record(stream, {**row, **ascii_only})


if __name__ == "__main__":
    Broken().main()
