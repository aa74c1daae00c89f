"""Says COMPLETE when it is told to end."""

from __future__ import annotations

import time
from typing import Any

from good_source import Json, Source

CAUGHT_BY = "stop.ends_on_sigterm"


class Broken(Source):
    def on_sigterm(self, *_: Any) -> None:
        for stream in self.open:
            self.status(stream, "COMPLETE")
        raise SystemExit(143)

    def record(self, stream: Json, row: Json) -> None:
        super().record(stream, row)
        time.sleep(0.02)


if __name__ == "__main__":
    Broken().main()
