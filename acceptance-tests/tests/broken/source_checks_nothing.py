"""Says SUCCEEDED without having tried anything."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "check.fails_where_the_other_side_cannot_be_reached"


class Broken(Source):
    def check(self, config: Json) -> None:
        return


if __name__ == "__main__":
    Broken().main()
