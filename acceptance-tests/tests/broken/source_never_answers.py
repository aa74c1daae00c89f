"""Waits for ever in check."""

from __future__ import annotations

import time

from good_source import Json, Source

CAUGHT_BY = "check.succeeds_with_the_given_config"


class Broken(Source):
    def check(self, config: Json) -> None:
        time.sleep(600)


if __name__ == "__main__":
    Broken().main()
