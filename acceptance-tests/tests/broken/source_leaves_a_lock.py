"""Leaves a lock behind when it is killed, and then does not start."""

from __future__ import annotations

from pathlib import Path

from good_source import ConfigError, Json, Source

CAUGHT_BY = "stop.can_be_killed_at_any_moment"


class Broken(Source):
    def read(self, config: Json, catalog: Json, states: Json) -> None:
        lock = Path(config["folder"], "lock")
        if lock.exists():
            raise ConfigError("another run is under way")
        lock.touch()
        super().read(config, catalog, states)
        lock.unlink()


if __name__ == "__main__":
    Broken().main()
