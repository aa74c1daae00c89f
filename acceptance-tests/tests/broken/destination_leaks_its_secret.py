"""Logs its config."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "always.secrets_stay_secret"


class Broken(Destination):
    def write(self, config: Json, catalog: Json) -> None:
        self.log("DEBUG", f"writing with {config}")
        super().write(config, catalog)


if __name__ == "__main__":
    Broken().main()
