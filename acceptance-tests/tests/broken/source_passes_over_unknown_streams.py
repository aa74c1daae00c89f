"""Passes over a stream that it does not have."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.tells_of_a_stream_that_it_does_not_have"


class Broken(Source):
    def missing(self, stream: Json) -> None:
        return


if __name__ == "__main__":
    Broken().main()
