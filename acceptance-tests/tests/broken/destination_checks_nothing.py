"""Says SUCCEEDED without having tried anything."""

from __future__ import annotations

import argparse

from good_destination import Destination

CAUGHT_BY = "check.fails_where_the_other_side_cannot_be_reached"


class Broken(Destination):
    def run(self, asked: argparse.Namespace) -> None:
        if asked.verb == "check":
            return self.say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
        super().run(asked)


if __name__ == "__main__":
    Broken().main()
