"""Writes a cache into the home directory."""

from __future__ import annotations

from pathlib import Path

from good_source import Json, Source

CAUGHT_BY = "place.may_be_read_only"


class Broken(Source):
    def check(self, config: Json) -> None:
        (Path.home() / ".acceptance-broken-source").write_text("cache")
        (Path.home() / ".acceptance-broken-source").unlink()
        super().check(config)


if __name__ == "__main__":
    Broken().main()
