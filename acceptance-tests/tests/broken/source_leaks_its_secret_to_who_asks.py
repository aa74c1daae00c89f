"""Logs its config when it is told to log everything."""

from __future__ import annotations

import os

from good_source import Json, Source

CAUGHT_BY = "always.secrets_stay_secret"


class Broken(Source):
    def check(self, config: Json) -> None:
        if os.environ.get("LOG_LEVEL") in ("DEBUG", "TRACE"):
            self.say("LOG", "log", {"level": "DEBUG", "message": f"checking {config}"})
        super().check(config)


if __name__ == "__main__":
    Broken().main()
