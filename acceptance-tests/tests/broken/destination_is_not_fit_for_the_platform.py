"""Gives states back without their `id`, and so fails every sync."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "judge.accepts_a_sync_as_the_ui_sends_it"


class Broken(Destination):
    def echo(self, message: Json, count: int) -> None:
        message["state"].pop("id", None)
        super().echo(message, count)


if __name__ == "__main__":
    Broken().main()
