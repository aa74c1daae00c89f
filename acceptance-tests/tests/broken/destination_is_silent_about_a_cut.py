"""Says nothing when the input breaks off in the middle of a line."""

from __future__ import annotations

import sys

from good_destination import Destination

CAUGHT_BY = "input.may_be_cut_in_the_middle_of_a_line"


class Broken(Destination):
    def end(self, broken: str | None) -> None:
        if broken:
            sys.exit(0)
        super().end(broken)


if __name__ == "__main__":
    Broken().main()
