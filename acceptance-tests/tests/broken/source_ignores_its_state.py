"""Reads everything again, whatever the state says."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "resume.does_not_start_anew"


class Broken(Source):
    def states(self, path: str | None) -> Json:
        return {}


if __name__ == "__main__":
    Broken().main()
