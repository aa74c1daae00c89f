"""Writes what an earlier run had acknowledged once more."""

from __future__ import annotations

import time
from pathlib import Path

from good_destination import Destination, Json

CAUGHT_BY = "stop.can_be_killed_at_any_moment_of_an_append"


class Broken(Destination):
    def write(self, config: Json, catalog: Json) -> None:
        spool = Path(config["folder"], "spool")
        for path in spool.glob("*.lines"):
            (Path(config["folder"]) / path.name).write_text(
                (Path(config["folder"]) / path.name).read_text() + path.read_text()
            )
            path.unlink()
        self.spool = spool
        spool.mkdir(parents=True, exist_ok=True)
        super().write(config, catalog)
        for path in spool.glob("*.lines"):
            path.unlink()

    def state(self, message: Json) -> None:
        for stream in self.covered(message["state"]):
            with (self.spool / stream.file.name).open("a") as file:
                file.writelines(line + "\n" for line in stream.waiting)
        time.sleep(0.02)
        super().state(message)


if __name__ == "__main__":
    Broken().main()
