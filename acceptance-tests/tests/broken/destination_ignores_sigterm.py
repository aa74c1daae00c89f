"""Does not end on SIGTERM."""

from __future__ import annotations

from typing import Any

from good_destination import Destination

CAUGHT_BY = "stop.ends_on_sigterm"


class Broken(Destination):
    def on_sigterm(self, *_: Any) -> None:
        return


if __name__ == "__main__":
    Broken().main()
