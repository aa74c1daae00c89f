"""Logs for ever that it is still looking."""

from __future__ import annotations

import time

from good_source import Json, Source

CAUGHT_BY = "discover.gives_one_catalog"


class Broken(Source):
    def discover(self, config: Json) -> list[Json]:
        while True:
            self.say("LOG", "log", {"level": "INFO", "message": "still looking"})
            time.sleep(0.05)


if __name__ == "__main__":
    Broken().main()
