"""Passes over states that are not of one stream."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.is_not_required_to_be_of_one_stream"


class Broken(Destination):
    def state(self, message: Json) -> None:
        if message["state"].get("type") == "STREAM":
            super().state(message)


if __name__ == "__main__":
    Broken().main()
