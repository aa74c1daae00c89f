"""Does not end on SIGTERM."""

from __future__ import annotations

import time
from typing import Any

from good_source import Json, Source

CAUGHT_BY = "stop.ends_on_sigterm"


class Broken(Source):
    told = False

    def on_sigterm(self, *_: Any) -> None:
        self.told = True

    def record(self, stream: Json, row: Json) -> None:
        time.sleep(1 if self.told else 0.02)
        super().record(stream, row)


if __name__ == "__main__":
    Broken().main()
