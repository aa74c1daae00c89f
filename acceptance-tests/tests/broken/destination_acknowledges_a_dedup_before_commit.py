"""Gives a state back at once, and writes at the end, where rows have a key."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_only_when_its_rows_are_there_in_append_dedup"


class Broken(Destination):
    def state(self, message: Json) -> None:
        streams = self.covered(message["state"])
        if any(stream.mode != "append_dedup" for stream in streams):
            return super().state(message)
        count = sum(stream.count for stream in streams)
        for stream in streams:
            stream.count, stream.state_last = 0, True
        self.echo(message, count)


if __name__ == "__main__":
    Broken().main()
