"""Writes only after a check has made its folder."""

from __future__ import annotations

from pathlib import Path

from good_destination import ConfigError, Destination, Json

CAUGHT_BY = "first.works_without_a_check_before"


class Broken(Destination):
    def write(self, config: Json, catalog: Json) -> None:
        if not Path(config["folder"], "checked").exists():
            raise ConfigError("run check first")
        super().write(config, catalog)


if __name__ == "__main__":
    Broken().main()
