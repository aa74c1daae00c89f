"""Says nothing when the source never said COMPLETE."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "input.may_break_off_without_complete"


class Broken(Destination):
    def log(self, level: str, text: str) -> None:
        return


if __name__ == "__main__":
    Broken().main()
