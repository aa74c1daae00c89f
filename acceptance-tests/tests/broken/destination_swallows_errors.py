"""Acknowledges what it could not write."""

from __future__ import annotations

import json
import sys

from good_destination import ConfigError, Destination, Json

CAUGHT_BY = "input.is_never_acknowledged_where_nothing_can_be_written"


class Broken(Destination):
    def write(self, config: Json, catalog: Json) -> None:
        try:
            super().write(config, catalog)
        except (ConfigError, OSError):
            for line in sys.stdin.buffer:
                message = json.loads(line)
                if message["type"] == "STATE":
                    self.echo(message, 1)


if __name__ == "__main__":
    Broken().main()
