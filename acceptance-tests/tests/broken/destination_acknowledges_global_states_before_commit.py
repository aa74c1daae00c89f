"""Gives a state of all streams back at once, and writes at the end."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.of_all_streams_comes_back_only_when_its_rows_are_there"


class Broken(Destination):
    def state(self, message: Json) -> None:
        streams = self.covered(message["state"])
        if message["state"].get("type") != "GLOBAL":
            return super().state(message)
        count = sum(stream.count for stream in streams)
        for stream in streams:
            stream.count, stream.state_last = 0, True
        self.echo(message, count)


if __name__ == "__main__":
    Broken().main()
