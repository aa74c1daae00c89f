"""Refuses a state with a key that the platform has added."""

from __future__ import annotations

import json
from pathlib import Path

from good_source import ConfigError, Json, Source

CAUGHT_BY = "resume.takes_a_state_with_unknown_keys"


class Broken(Source):
    def states(self, path: str | None) -> Json:
        for state in json.loads(Path(path).read_text()) if path else []:
            if set(state) - {"type", "stream"}:
                raise ConfigError(f"unknown keys in the state: {set(state)}")
        return super().states(path)


if __name__ == "__main__":
    Broken().main()
