"""Gives all states back at the end, and writes right after."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_only_when_its_rows_are_there"


class Broken(Destination):
    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Json, int]] = []

    def trace(self, trace: Json) -> None:
        return

    def state(self, message: Json) -> None:
        for stream in self.covered(message["state"]):
            self.held.append((message, stream.count))
            stream.count, stream.state_last = 0, True

    def end(self, broken: str | None) -> None:
        for message, count in self.held:
            self.echo(message, count)
        super().end(broken)


if __name__ == "__main__":
    Broken().main()
